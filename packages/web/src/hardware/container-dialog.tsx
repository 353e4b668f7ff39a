/** What is set of a container: its network, its names, whether it may make containers itself. */
import { Checkbox, Group, TextInput } from '@mantine/core'
import { useState } from 'react'
import { setGuestBody } from '@stead/api/endpoints/guests.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import { wordsOf } from '../guests/create-form.ts'
import { useText } from '../i18n/texts.ts'
import { ChangeDialog } from '../parts/change-dialog.tsx'
import { complaintOf } from '../parts/schema-complaint.ts'
import type { GuestDialogProps } from './guest-change-dialogs.tsx'

export function ContainerDialog({ guest, onClose }: GuestDialogProps) {
  const t = useText()
  const [nic] = guest.nics
  const [form, setForm] = useState(() => ({
    hostname: guest.container?.hostname ?? '',
    addresses: (nic?.addresses ?? []).join(', '),
    gateways: (nic?.gateways ?? []).join(', '),
    nameservers: (guest.container?.nameservers ?? []).join(', '),
    searchDomains: (guest.container?.searchDomains ?? []).join(', '),
    nesting: guest.container?.nesting ?? false,
  }))
  const text = (field: Exclude<keyof typeof form, 'nesting'>) => ({
    value: form[field],
    onChange: (event: { currentTarget: { value: string } }) => {
      const { value } = event.currentTarget
      setForm((before) => ({ ...before, [field]: value }))
    },
  })
  const body = {
    container: {
      hostname: form.hostname,
      ...(nic ? { addresses: wordsOf(form.addresses), gateways: wordsOf(form.gateways) } : {}),
      nameservers: wordsOf(form.nameservers),
      searchDomains: wordsOf(form.searchDomains),
      nesting: form.nesting,
    },
  }
  return (
    <ChangeDialog
      title={t('change.container', { name: guest.name })}
      confirm={t('word.save')}
      complaint={complaintOf(setGuestBody, body)}
      call={(client) =>
        client.call(ENDPOINTS['guest.set'], { params: { guest: guest.name }, body }, { ifMatch: guest.revision })
      }
      onClose={onClose}
    >
      <TextInput label={t('hardware.hostname')} {...text('hostname')} data-autofocus />
      <Group grow align="start">
        <TextInput label={t('guest.addresses')} placeholder="192.0.2.10/24" disabled={!nic} {...text('addresses')} />
        <TextInput label={t('hardware.gateways')} placeholder="192.0.2.1" disabled={!nic} {...text('gateways')} />
      </Group>
      <Group grow align="start">
        <TextInput label={t('hardware.nameservers')} placeholder="192.0.2.1" {...text('nameservers')} />
        <TextInput label={t('change.searchDomains')} placeholder="example.org" {...text('searchDomains')} />
      </Group>
      <Checkbox
        label={t('hardware.nesting')}
        description={t('change.nestingText')}
        checked={form.nesting}
        onChange={(event) => {
          const { checked } = event.currentTarget
          setForm((before) => ({ ...before, nesting: checked }))
        }}
      />
    </ChangeDialog>
  )
}
