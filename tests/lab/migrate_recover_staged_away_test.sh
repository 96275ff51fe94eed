# SPDX-License-Identifier: LGPL-2.1-or-later
# Killed in the last steps of a staged move to another host; before that it is the same as on one.
source "$ROOT/tests/lab/recover_helpers.sh"

each_step staged-away "7 8 9 10" "$VMFERRY_LAB_HOSTB" --to "$VMFERRY_LAB_HOSTB"
