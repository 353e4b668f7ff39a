/** What is changed of the machine as a whole: its size, what it shows and watches, its CD, what cloud-init tells it. */
import { Group, NumberInput, Select, Stack } from '@mantine/core'
import { useState } from 'react'
import { setGuestBody } from '@stead/api/endpoints/guests.ts'
import { mediaRequestSchema } from '@stead/api/endpoints/media.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { GuestView } from '@stead/api/views.ts'
import { cloudInitOf, emptyCloudInit } from '../guests/create-cloud-init.ts'
import { CloudInitFields } from '../guests/cloud-init-fields.tsx'
import { GIB, memoryBytesOf } from '../guests/create-form.ts'
import { useText } from '../i18n/texts.ts'
import { useItems } from '../parts/answered.tsx'
import { ChangeDialog } from '../parts/change-dialog.tsx'
import { complaintOf } from '../parts/schema-complaint.ts'
import { amountOf, type Amount } from './limits-form.ts'

export interface GuestDialogProps {
  readonly guest: GuestView
  readonly onClose: () => void
}

const gibOf = (bytes: number | null): Amount => (bytes === null ? '' : Math.round((bytes / GIB) * 1_000) / 1_000)

export function SizeDialog({ guest, onClose }: GuestDialogProps) {
  const t = useText()
  const isMachine = guest.kind === 'vm'
  const [form, setForm] = useState(() => ({
    cpus: guest.cpus as Amount,
    memoryGib: gibOf(guest.memoryBytes),
    cpusMax: guest.maximum.cpus ?? ('' as Amount),
    memoryMaxGib: gibOf(guest.maximum.memoryBytes),
    balloonGib: gibOf(guest.balloonBytes),
  }))
  const field = (name: keyof typeof form) => ({
    value: form[name],
    onChange: (value: string | number) => setForm((before) => ({ ...before, [name]: amountOf(value) })),
  })
  const body = {
    ...(form.cpus === '' || form.cpus === guest.cpus ? {} : { cpus: form.cpus }),
    ...bytesIfChanged('memoryBytes', form.memoryGib, guest.memoryBytes),
    ...(form.cpusMax === '' || form.cpusMax === guest.maximum.cpus ? {} : { cpusMax: form.cpusMax }),
    ...bytesIfChanged('memoryMaxBytes', form.memoryMaxGib, guest.maximum.memoryBytes),
    ...(form.balloonGib === '' && guest.balloonBytes !== null ? { balloonBytes: null } : {}),
    ...bytesIfChanged('balloonBytes', form.balloonGib, guest.balloonBytes),
  }
  const isChanged = Object.keys(body).length > 0
  return (
    <ChangeDialog
      title={t('change.size', { name: guest.name })}
      confirm={t('word.save')}
      complaint={isChanged ? complaintOf(setGuestBody, body) : ''}
      foreseen={[guest.id, body]}
      call={(client, consent) =>
        client.call(
          ENDPOINTS['guest.set'],
          { params: { guest: guest.name }, body: { ...body, ...consent } },
          { ifMatch: guest.revision },
        )
      }
      onClose={onClose}
    >
      <Group grow align="start">
        <NumberInput label={t('column.cpus')} min={1} max={256} {...field('cpus')} data-autofocus />
        <NumberInput label={t('change.memory')} min={0.016} decimalScale={3} {...field('memoryGib')} />
      </Group>
      {isMachine ? (
        <>
          <Group grow align="start">
            <NumberInput label={t('change.cpusMax')} min={1} max={256} {...field('cpusMax')} />
            <NumberInput label={t('change.memoryMax')} min={0.016} decimalScale={3} {...field('memoryMaxGib')} />
          </Group>
          <NumberInput
            label={t('change.balloon')}
            description={t('change.balloonText')}
            min={0.016}
            decimalScale={3}
            {...field('balloonGib')}
          />
        </>
      ) : null}
    </ChangeDialog>
  )
}

function bytesIfChanged(name: string, gib: Amount, now: number | null): Record<string, number> {
  return gib === '' || gib === gibOf(now) ? {} : { [name]: memoryBytesOf(gib) }
}

const WATCHDOGS = ['poweroff', 'reset', 'pause', 'none'] as const

export function MachineDialog({ guest, onClose }: GuestDialogProps) {
  const t = useText()
  const [display, setDisplay] = useState(guest.display)
  const [watchdog, setWatchdog] = useState(guest.platform.watchdog)
  const body = { display, watchdog }
  return (
    <ChangeDialog
      title={t('change.machine', { name: guest.name })}
      confirm={t('word.save')}
      complaint={complaintOf(setGuestBody, body)}
      call={(client) =>
        client.call(ENDPOINTS['guest.set'], { params: { guest: guest.name }, body }, { ifMatch: guest.revision })
      }
      onClose={onClose}
    >
      <Select
        label={t('hardware.display')}
        data={(['none', 'vga'] as const).map((value) => ({ value, label: t(`change.display.${value}`) }))}
        value={display}
        allowDeselect={false}
        onChange={(value) => setDisplay(value as typeof display)}
      />
      <Select
        label={t('hardware.watchdog')}
        placeholder={t('word.no')}
        data={WATCHDOGS.map((value) => ({ value, label: t(`change.watchdog.${value}`) }))}
        value={watchdog}
        onChange={(value) => setWatchdog(value as typeof watchdog)}
        clearable
      />
    </ChangeDialog>
  )
}

export function MediumDialog({ guest, onClose }: GuestDialogProps) {
  const t = useText()
  const isos = useItems(['images'], (client) => client.call(ENDPOINTS['image.list'])).filter(
    ({ kind }) => kind === 'iso',
  )
  const [cdrom, setCdrom] = useState(guest.media.cdrom?.image ?? null)
  const [first, setFirst] = useState<string>(guest.media.bootOrder[0] ?? 'disk')
  const body = { cdrom, bootOrder: first === 'disk' ? (['disk', 'cdrom'] as const) : (['cdrom', 'disk'] as const) }
  return (
    <ChangeDialog
      title={t('change.medium', { name: guest.name })}
      confirm={t('word.save')}
      complaint={complaintOf(mediaRequestSchema, body)}
      call={(client) =>
        client.call(ENDPOINTS['guest.media'], {
          params: { guest: guest.name },
          body: { cdrom, bootOrder: [...body.bootOrder] },
        })
      }
      onClose={onClose}
    >
      <Select
        label={t('change.cdrom')}
        placeholder={t('change.emptyDrive')}
        data={isos.map(({ name }) => name)}
        value={cdrom}
        onChange={setCdrom}
        clearable
        searchable
      />
      <Select
        label={t('change.bootFirst')}
        description={t('change.bootFirstText')}
        data={(['disk', 'cdrom'] as const).map((value) => ({ value, label: t(`change.bootFirst.${value}`) }))}
        value={first}
        allowDeselect={false}
        onChange={(value) => setFirst(value ?? 'disk')}
      />
    </ChangeDialog>
  )
}

export function CloudInitDialog({ guest, onClose }: GuestDialogProps) {
  const t = useText()
  const [form, setForm] = useState(() => ({ ...emptyCloudInit(), isWanted: true }))
  const body = { cloudInit: cloudInitOf(form) ?? {} }
  return (
    <ChangeDialog
      title={t('change.cloudInit', { name: guest.name })}
      confirm={t('word.save')}
      complaint={complaintOf(mediaRequestSchema, body)}
      call={(client) => client.call(ENDPOINTS['guest.media'], { params: { guest: guest.name }, body })}
      onClose={onClose}
    >
      <p>{t('change.cloudInitText')}</p>
      <Stack>
        <CloudInitFields
          form={form}
          name={guest.name}
          complaint={() => undefined}
          onChange={(part) => setForm((before) => ({ ...before, ...part }))}
        />
      </Stack>
    </ChangeDialog>
  )
}
