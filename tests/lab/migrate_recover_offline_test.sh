# SPDX-License-Identifier: LGPL-2.1-or-later
# Killed in the steps of a move with the guest shut off; each time it has to boot.
source "$ROOT/tests/lab/recover_helpers.sh"

each_step offline "1 2 4" "$VMFERRY_LAB_HOSTA" --mode offline
