/** Going back to a snapshot, deleting one, and having them taken by themselves. */
import { Checkbox, Group, NumberInput, Select } from '@mantine/core'
import { useState } from 'react'
import type { SnapshotView, SnapshotsView } from '@stead/api/endpoints/snapshots.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { GuestView } from '@stead/api/views.ts'
import { useText } from '../i18n/texts.ts'
import { ChangeDialog } from '../parts/change-dialog.tsx'
import { complaintOf } from '../parts/schema-complaint.ts'
import { NameField } from '../parts/text-field.tsx'
import { snapshotNameNow } from './guest-actions.ts'
import { everyMs, everyOf, SNAPSHOT_UNITS, type SnapshotUnit } from './snapshot-every.ts'

interface DialogProps {
  readonly guest: GuestView
  readonly onClose: () => void
}
interface OneProps extends DialogProps {
  readonly snapshot: SnapshotView
}

export function TakeSnapshotDialog({ guest, onClose }: DialogProps) {
  const t = useText()
  const [name, setName] = useState(snapshotNameNow)
  const [isFrozen, setFrozen] = useState(true)
  const [memory, setMemory] = useState(false)
  const body = { name: name.trim(), memory, wanted: isFrozen && !memory ? ('filesystem' as const) : ('crash' as const) }
  const isUp = guest.state === 'running'
  return (
    <ChangeDialog
      title={t('ask.snapshot', { name: guest.name })}
      confirm={t('snapshots.take')}
      complaint={complaintOf(ENDPOINTS['snapshot.create'].body, body)}
      call={(client) => client.call(ENDPOINTS['snapshot.create'], { params: { guest: guest.name }, body })}
      onClose={onClose}
    >
      <NameField value={name} onChange={setName} />
      <Checkbox
        label={t('ask.memory')}
        description={t(isUp ? 'ask.memoryText' : 'obstacle.stopped')}
        checked={memory}
        disabled={!isUp}
        onChange={(event) => setMemory(event.currentTarget.checked)}
      />
      <Checkbox
        label={t('snapshots.freeze')}
        description={t('snapshots.freezeText')}
        checked={isFrozen && !memory}
        disabled={memory}
        onChange={(event) => setFrozen(event.currentTarget.checked)}
      />
    </ChangeDialog>
  )
}

export function RollbackDialog({ guest, snapshot, onClose }: OneProps) {
  const t = useText()
  const [deleteNewer, setDeleteNewer] = useState(false)
  const [start, setStart] = useState(guest.state === 'running')
  const [withoutMemory, setWithoutMemory] = useState(false)
  const body = { deleteNewer, start, withoutMemory }
  return (
    <ChangeDialog
      title={t('snapshots.ask.rollback', { name: snapshot.name })}
      confirm={t('snapshots.rollback')}
      foreseen={[snapshot.id, body]}
      danger={{ text: t('snapshots.rollbackText'), name: guest.name }}
      call={(client) =>
        client.call(ENDPOINTS['snapshot.rollback'], { params: { guest: guest.name, snapshot: snapshot.name }, body })
      }
      onClose={onClose}
    >
      <Checkbox
        label={t('snapshots.deleteNewer')}
        checked={deleteNewer}
        onChange={(event) => setDeleteNewer(event.currentTarget.checked)}
      />
      <Checkbox
        label={t('snapshots.start')}
        checked={start}
        onChange={(event) => setStart(event.currentTarget.checked)}
      />
      {snapshot.memory === null ? null : (
        <Checkbox
          label={t('snapshots.withoutMemory')}
          description={t('snapshots.withoutMemoryText')}
          checked={withoutMemory}
          onChange={(event) => setWithoutMemory(event.currentTarget.checked)}
        />
      )}
    </ChangeDialog>
  )
}

export function DeleteSnapshotDialog({ guest, snapshot, onClose }: OneProps) {
  const t = useText()
  return (
    <ChangeDialog
      title={t('snapshots.ask.delete', { name: snapshot.name })}
      confirm={t('snapshots.delete')}
      call={(client) =>
        client.call(ENDPOINTS['snapshot.delete'], { params: { guest: guest.name, snapshot: snapshot.name } })
      }
      onClose={onClose}
    >
      <p>{t('snapshots.deleteText')}</p>
    </ChangeDialog>
  )
}

export function SnapshotScheduleDialog(props: DialogProps & { readonly schedule: SnapshotsView['schedule'] }) {
  const { guest, schedule, onClose } = props
  const t = useText()
  const [isOn, setOn] = useState(true)
  const [every, setEvery] = useState(() => everyOf(schedule?.everyMs ?? 3_600_000))
  const [keep, setKeep] = useState(schedule?.keep ?? 24)
  const [memory, setMemory] = useState(schedule?.memory ?? false)
  const body = {
    schedule: isOn ? { everyMs: everyMs(every), keep, ...(memory ? { memory } : {}) } : null,
  }
  return (
    <ChangeDialog
      title={t('snapshots.scheduleTitle', { name: guest.name })}
      confirm={t('word.save')}
      complaint={complaintOf(ENDPOINTS['snapshot.schedule'].body, body)}
      call={(client) => client.call(ENDPOINTS['snapshot.schedule'], { params: { guest: guest.name }, body })}
      onClose={onClose}
    >
      <Checkbox
        label={t('snapshots.scheduleOn')}
        checked={isOn}
        onChange={(event) => setOn(event.currentTarget.checked)}
      />
      {isOn ? (
        <>
          <Group grow align="start">
            <NumberInput
              label={t('snapshots.every')}
              min={1}
              value={every.count}
              onChange={(value) => setEvery({ ...every, count: Number(value) })}
            />
            <Select
              label={t('snapshots.unit')}
              data={SNAPSHOT_UNITS.map((value) => ({ value, label: t(`snapshots.unit.${value}`) }))}
              value={every.unit}
              allowDeselect={false}
              onChange={(value) => setEvery({ ...every, unit: value as SnapshotUnit })}
            />
            <NumberInput
              label={t('snapshots.keep')}
              min={1}
              value={keep}
              onChange={(value) => setKeep(Number(value))}
            />
          </Group>
          <Checkbox
            label={t('ask.memory')}
            description={t('ask.memoryText')}
            checked={memory}
            onChange={(event) => setMemory(event.currentTarget.checked)}
          />
        </>
      ) : null}
    </ChangeDialog>
  )
}
