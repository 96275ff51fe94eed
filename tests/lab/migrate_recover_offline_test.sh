# SPDX-License-Identifier: LGPL-2.1-or-later
# Killed in the steps of a move with the guest shut off; each time it has to boot. Who was killed just before it pressed the power button
# leaves a guest that is waited for, as long as the option says. In the copy, whose claim lasts half a minute, only in the long run.
source "$ROOT/tests/lab/recover_helpers.sh"

way=(--mode offline --shutdown-timeout 30)
if [[ ${VMFERRY_LONG-ON} == ON ]]; then
  each_step offline "1 2 4" "$VMFERRY_LAB_HOSTA" "${way[@]}"
else
  start mg-offline
  for step in 1 4; do
    before=$(picture)
    one_step "$VMFERRY_LAB_HOSTA" "$step" "${way[@]}"
  done
fi
