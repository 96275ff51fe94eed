# SPDX-License-Identifier: LGPL-2.1-or-later
# Killed in each step of a mirrored move on one host.
source "$ROOT/tests/lab/recover_helpers.sh"

each_step mirror "1 2 3 4 5" "$VMFERRY_LAB_HOSTA" --method mirror
