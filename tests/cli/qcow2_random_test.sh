# SPDX-License-Identifier: LGPL-2.1-or-later
# Random images against qemu-img. VMFERRY_SEED repeats a run that failed.
# shellcheck disable=SC2086 # no seed: no argument
python3 "$ROOT/tests/cli/qcow2/random_ops.py" "$VMFERRY" ${VMFERRY_SEED-}
