/** A replica to another host or pool, one more, or one less; while the guest runs. */
import { Select } from '@mantine/core'
import { useState } from 'react'
import { moveReplicaBody } from '@stead/api/endpoints/replica-moves.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import { useLanguage, useText } from '../i18n/texts.ts'
import { useHosts } from '../live/use-live.ts'
import { ChangeDialog } from '../parts/change-dialog.tsx'
import { bytesText } from '../parts/figures.ts'
import { complaintOf } from '../parts/schema-complaint.ts'
import type { DiskDialogProps } from './disk-dialogs.tsx'
import { placeOf, placeText, roomsFor } from './replica-places.ts'

export function ReplicaDialog({ guest, volume, onClose }: DiskDialogProps) {
  const t = useText()
  const language = useLanguage()
  const hosts = useHosts()
  const [from, setFrom] = useState<string | null>(null)
  const [to, setTo] = useState<string | null>(null)
  const rooms = roomsFor(volume, hosts, from === null ? undefined : placeOf(from))
  const body = {
    ...(from === null ? {} : { from: placeOf(from) }),
    ...(to === null ? {} : { to: placeOf(to) }),
  }
  const isWhole = from !== null || to !== null
  return (
    <ChangeDialog
      title={t('change.replica', { disk: volume.name, name: guest.name })}
      confirm={t('change.replicaButton')}
      complaint={isWhole ? complaintOf(moveReplicaBody, body) : ''}
      foreseen={[volume.id, body]}
      call={(client) => client.call(ENDPOINTS['volume.move'], { params: { volume: volume.id }, body })}
      onClose={onClose}
    >
      <Select
        label={t('change.replicaFrom')}
        description={t('change.replicaFromText')}
        placeholder={t('change.replicaFromNone')}
        data={volume.replicas.map(placeText)}
        value={from}
        onChange={(next) => {
          setFrom(next)
          // What was possible with another one may not be with this.
          setTo(null)
        }}
        clearable
      />
      <Select
        label={t('change.replicaTo')}
        placeholder={t('change.replicaToNone')}
        data={rooms.map((room) => ({
          value: placeText(room),
          label: `${placeText(room)} · ${t('change.room', { size: bytesText(room.freeBytes, language) })}`,
        }))}
        value={to}
        onChange={setTo}
        clearable
      />
    </ChangeDialog>
  )
}
