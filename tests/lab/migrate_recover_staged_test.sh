# SPDX-License-Identifier: LGPL-2.1-or-later
# Killed in each step of a staged move on one host.
source "$ROOT/tests/lab/recover_helpers.sh"

each_step staged "1 2 3 4 5 6 7" "$VMFERRY_LAB_HOSTA"
