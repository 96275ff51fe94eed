# SPDX-License-Identifier: LGPL-2.1-or-later
# Killed in the first steps: what was begun can be undone, and it can be finished.
source "$ROOT/tests/lab/recover_helpers.sh"

both 1 2 # the third may be over before it is killed, and then the guest depends on its volume
