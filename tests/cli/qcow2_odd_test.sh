# SPDX-License-Identifier: LGPL-2.1-or-later
# Images that are legal but odd; qemu-img is the oracle.
python3 "$ROOT/tests/cli/qcow2/odd.py" "$VMFERRY"
