# SPDX-License-Identifier: LGPL-2.1-or-later
# Killed in each step of a mirrored move to another host.
source "$ROOT/tests/lab/recover_helpers.sh"

each_step mirror-away "1 2 3 4" "$VMFERRY_LAB_HOSTB" --method mirror --to "$VMFERRY_LAB_HOSTB"
