import { Group, NumberInput, TextInput } from '@mantine/core'
import { useState } from 'react'
import { addNicBody } from '@stead/api/endpoints/hardware.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { GuestView } from '@stead/api/views.ts'
import { PACKETS_PER_SECOND_MAX, PACKETS_PER_SECOND_MIN } from '@stead/core/model/container-limits.ts'
import { useText } from '../i18n/texts.ts'
import { ChangeDialog } from '../parts/change-dialog.tsx'
import { complaintOf } from '../parts/schema-complaint.ts'
import type { GuestDialogProps } from './guest-change-dialogs.tsx'
import { amountOf, nicLimitsForm, nicLimitsOf, type NicLimitsForm } from './limits-form.ts'

type Nic = GuestView['nics'][number]
interface NicDialogProps extends GuestDialogProps {
  readonly nic: Nic
}

export function AddNicDialog({ guest, onClose }: GuestDialogProps) {
  const t = useText()
  const [mac, setMac] = useState('')
  const [limits, setLimits] = useState(() => nicLimitsForm())
  const given = nicLimitsOf(limits)
  const body = {
    ...(mac === '' ? {} : { mac: mac.trim().toLowerCase() }),
    ...(Object.keys(given).length === 0 ? {} : { limits: given }),
  }
  return (
    <ChangeDialog
      title={t('change.addNic', { name: guest.name })}
      confirm={t('change.add')}
      complaint={complaintOf(addNicBody, body)}
      foreseen={[guest.id, body]}
      call={(client) => client.call(ENDPOINTS['guest.nic-add'], { params: { guest: guest.name }, body })}
      onClose={onClose}
    >
      <TextInput
        label={t('change.mac')}
        description={t('change.macText')}
        placeholder="52:54:00:12:34:56"
        value={mac}
        onChange={(event) => setMac(event.currentTarget.value)}
        data-autofocus
      />
      <NicLimitFields form={limits} onChange={setLimits} />
    </ChangeDialog>
  )
}

export function NicLimitsDialog({ guest, nic, onClose }: NicDialogProps) {
  const t = useText()
  const [form, setForm] = useState(() => nicLimitsForm(nic.limits))
  const body = { limits: nicLimitsOf(form) }
  return (
    <ChangeDialog
      title={t('change.nicLimits', { slot: nic.slot, name: guest.name })}
      confirm={t('word.save')}
      complaint={complaintOf(addNicBody, body)}
      call={(client) =>
        client.call(ENDPOINTS['guest.nic-set'], { params: { guest: guest.name, nic: String(nic.slot) }, body })
      }
      onClose={onClose}
    >
      <NicLimitFields form={form} onChange={setForm} />
    </ChangeDialog>
  )
}

export function RemoveNicDialog({ guest, nic, onClose }: NicDialogProps) {
  const t = useText()
  return (
    <ChangeDialog
      title={t('change.removeNic', { slot: nic.slot, name: guest.name })}
      confirm={t('change.remove')}
      foreseen={[guest.id, nic.slot]}
      danger={{ text: t('change.removeNicText'), name: guest.name }}
      call={(client) =>
        client.call(ENDPOINTS['guest.nic-remove'], { params: { guest: guest.name, nic: String(nic.slot) } })
      }
      onClose={onClose}
    />
  )
}

function NicLimitFields({ form, onChange }: { form: NicLimitsForm; onChange: (form: NicLimitsForm) => void }) {
  const t = useText()
  return (
    <Group grow align="start">
      <NumberInput
        label={t('change.receive')}
        placeholder={t('change.noLimit')}
        min={0.001}
        value={form.receiveMbit}
        onChange={(value) => onChange({ ...form, receiveMbit: amountOf(value) })}
      />
      <NumberInput
        label={t('change.send')}
        placeholder={t('change.noLimit')}
        min={0.001}
        value={form.sendMbit}
        onChange={(value) => onChange({ ...form, sendMbit: amountOf(value) })}
      />
      <NumberInput
        label={t('change.sendPackets')}
        placeholder={t('change.noLimit')}
        min={PACKETS_PER_SECOND_MIN}
        max={PACKETS_PER_SECOND_MAX}
        allowDecimal={false}
        value={form.sendPackets}
        onChange={(value) => onChange({ ...form, sendPackets: amountOf(value) })}
      />
    </Group>
  )
}
