# SPDX-License-Identifier: LGPL-2.1-or-later
# Images with one thing wrong: each is refused with the right words, soon, and leaves nothing behind.
python3 "$ROOT/tests/cli/qcow2/broken.py" "$VMFERRY"
