/** Disks that come, grow, are limited, and go. */
import { Checkbox, Group, NumberInput, Select, TextInput } from '@mantine/core'
import { useState } from 'react'
import { addDiskBody, setDiskBody } from '@stead/api/endpoints/hardware.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { GuestView, VolumeView } from '@stead/api/views.ts'
import { GIB, sizeBytesOf } from '../guests/create-form.ts'
import { useLanguage, useText } from '../i18n/texts.ts'
import { useHosts, useVolumes } from '../live/use-live.ts'
import { ChangeDialog } from '../parts/change-dialog.tsx'
import { bytesText } from '../parts/figures.ts'
import { complaintOf } from '../parts/schema-complaint.ts'
import type { GuestDialogProps } from './guest-change-dialogs.tsx'
import { amountOf, diskLimitsForm, diskLimitsOf, type Amount, type DiskLimitsForm } from './limits-form.ts'

export interface DiskDialogProps extends GuestDialogProps {
  readonly volume: VolumeView
}

export function AddDiskDialog({ guest, onClose }: GuestDialogProps) {
  const t = useText()
  const language = useLanguage()
  const pools = [...new Set(useHosts().flatMap((host) => host.pools.map(({ name }) => name)))].toSorted()
  const kept = useVolumes().filter(({ attachment }) => attachment === 'detached')
  const [volume, setVolume] = useState<string | null>(null)
  const [sizeGib, setSizeGib] = useState<Amount>(10)
  const [replicas, setReplicas] = useState<1 | 2 | 3>(2)
  const [pool, setPool] = useState<string | null>(null)
  const [mountPath, setMountPath] = useState('')
  const mount = guest.kind === 'ct' && mountPath !== '' ? { mountPath } : {}
  const body =
    volume === null
      ? { sizeBytes: sizeBytesOf(Number(sizeGib)), replicas, ...(pool === null ? {} : { pool }), ...mount }
      : { volume, ...mount }
  return (
    <ChangeDialog
      title={t('change.addDisk', { name: guest.name })}
      confirm={t('change.add')}
      complaint={complaintOf(addDiskBody, body)}
      foreseen={[guest.id, body]}
      call={(client) => client.call(ENDPOINTS['guest.disk-add'], { params: { guest: guest.name }, body })}
      onClose={onClose}
    >
      {kept.length === 0 ? null : (
        <Select
          label={t('change.keptVolume')}
          placeholder={t('change.newVolume')}
          data={kept.map((one) => ({
            value: one.id,
            label: `${one.name} · ${bytesText(one.sizeBytes, language)} · ${one.id.slice(0, 8)}`,
          }))}
          value={volume}
          onChange={setVolume}
          clearable
        />
      )}
      {volume === null ? (
        <Group grow align="start">
          <NumberInput
            label={t('change.sizeGib')}
            min={1}
            value={sizeGib}
            onChange={(value) => setSizeGib(amountOf(value))}
            data-autofocus
          />
          <Select
            label={t('change.copies')}
            data={['1', '2', '3']}
            value={String(replicas)}
            allowDeselect={false}
            onChange={(value) => setReplicas(Number(value) as typeof replicas)}
          />
          <Select
            label={t('change.pool')}
            placeholder={t('change.anyPool')}
            data={pools}
            value={pool}
            onChange={setPool}
            clearable
          />
        </Group>
      ) : null}
      {guest.kind === 'ct' ? (
        <TextInput
          label={t('change.mountPath')}
          placeholder="/srv"
          value={mountPath}
          onChange={(event) => setMountPath(event.currentTarget.value)}
        />
      ) : null}
    </ChangeDialog>
  )
}

export function GrowDiskDialog({ guest, volume, onClose }: DiskDialogProps) {
  const t = useText()
  const language = useLanguage()
  const [sizeGib, setSizeGib] = useState<Amount>(Math.ceil(volume.sizeBytes / GIB) + 10)
  const sizeBytes = sizeBytesOf(Number(sizeGib))
  return (
    <ChangeDialog
      title={t('change.growDisk', { disk: volume.name, name: guest.name })}
      confirm={t('change.grow')}
      complaint={
        sizeBytes > volume.sizeBytes
          ? undefined
          : t('change.onlyLarger', { size: bytesText(volume.sizeBytes, language) })
      }
      foreseen={[volume.id, sizeBytes]}
      call={(client) => client.call(ENDPOINTS['volume.resize'], { params: { volume: volume.id }, body: { sizeBytes } })}
      onClose={onClose}
    >
      <NumberInput
        label={t('change.sizeGib')}
        description={t('change.growText')}
        min={1}
        value={sizeGib}
        onChange={(value) => setSizeGib(amountOf(value))}
        data-autofocus
      />
    </ChangeDialog>
  )
}

export function DiskLimitsDialog({ guest, volume, onClose }: DiskDialogProps) {
  const t = useText()
  const [form, setForm] = useState(() => diskLimitsForm(limitsOfDisk(guest, volume)))
  const field = (name: keyof DiskLimitsForm) => ({
    value: form[name],
    min: 1,
    onChange: (value: string | number) => setForm((before) => ({ ...before, [name]: amountOf(value) })),
  })
  const body = { limits: diskLimitsOf(form) }
  return (
    <ChangeDialog
      title={t('change.diskLimits', { disk: volume.name, name: guest.name })}
      confirm={t('word.save')}
      complaint={complaintOf(setDiskBody, body)}
      call={(client) =>
        client.call(ENDPOINTS['guest.disk-set'], { params: { guest: guest.name, disk: volume.name }, body })
      }
      onClose={onClose}
    >
      <Group grow align="start">
        <NumberInput label={t('change.iops')} placeholder={t('change.noLimit')} {...field('iops')} data-autofocus />
        <NumberInput label={t('change.rate')} placeholder={t('change.noLimit')} {...field('mibPerSecond')} />
      </Group>
      <Group grow align="start">
        <NumberInput label={t('change.burstIops')} {...field('burstIops')} />
        <NumberInput label={t('change.burstRate')} {...field('burstMibPerSecond')} />
        <NumberInput label={t('change.burstSeconds')} {...field('burstSeconds')} max={3600} />
      </Group>
    </ChangeDialog>
  )
}

export function RemoveDiskDialog({ guest, volume, onClose }: DiskDialogProps) {
  const t = useText()
  const [isDeleted, setDeleted] = useState(false)
  return (
    <ChangeDialog
      title={t('change.removeDisk', { disk: volume.name, name: guest.name })}
      confirm={t('change.remove')}
      foreseen={[volume.id, isDeleted]}
      danger={{ text: t(isDeleted ? 'change.removeDiskDeletes' : 'change.removeDiskKeeps'), name: guest.name }}
      call={(client) =>
        client.call(ENDPOINTS['guest.disk-remove'], {
          params: { guest: guest.name, disk: volume.name },
          query: { volume: isDeleted ? 'delete' : 'keep' },
        })
      }
      onClose={onClose}
    >
      <Checkbox
        label={t('change.deleteVolume')}
        checked={isDeleted}
        onChange={(event) => setDeleted(event.currentTarget.checked)}
      />
    </ChangeDialog>
  )
}

export function limitsOfDisk(guest: GuestView, { id }: VolumeView) {
  return guest.volumes.find((one) => one.id === id)?.limits
}
