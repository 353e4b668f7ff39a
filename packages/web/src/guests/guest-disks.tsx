import { Button, Group } from '@mantine/core'
import { useState } from 'react'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { GuestView, VolumeView } from '@stead/api/views.ts'
import {
  AddDiskDialog,
  DiskLimitsDialog,
  GrowDiskDialog,
  limitsOfDisk,
  RemoveDiskDialog,
} from '../hardware/disk-dialogs.tsx'
import { ExportDisk } from '../hardware/export-disk.tsx'
import { diskLimitsText } from '../hardware/limits-text.ts'
import { ReplicaDialog } from '../hardware/replica-dialog.tsx'
import type { TextKey } from '../i18n/language.ts'
import { useLanguage, useText } from '../i18n/texts.ts'
import { useVolumes } from '../live/use-live.ts'
import { Icon } from '../parts/icon.tsx'
import { Empty } from '../parts/page.tsx'
import { RefusableButton } from '../parts/refusable-button.tsx'
import { showFailure } from '../parts/toasts.tsx'
import { useSession } from '../session/session-context.ts'
import { VolumePanel } from '../storage/volume-panel.tsx'
import { obstacleToChange } from './guest-change.ts'
import classes from './guest-tabs.module.css'

const DIALOGS = {
  grow: { text: 'change.grow', Dialog: GrowDiskDialog },
  limits: { text: 'change.limits', Dialog: DiskLimitsDialog },
  replica: { text: 'change.replicaButton', Dialog: ReplicaDialog },
  remove: { text: 'change.remove', Dialog: RemoveDiskDialog },
} as const satisfies Record<string, { text: TextKey; Dialog: unknown }>
type DialogName = keyof typeof DIALOGS

/** Each disk with its replicas: where they are, whether they are current, how far they lag; and what is done with them. */
export function GuestDisks({ guest }: { guest: GuestView }) {
  const t = useText()
  const [asked, setAsked] = useState<{ readonly name: DialogName; readonly volume: VolumeView }>()
  const [isAdding, setAdding] = useState(false)
  const volumes = useVolumes().filter(({ guestId, attachment }) => guestId === guest.id && attachment !== 'detached')
  const Dialog = asked && DIALOGS[asked.name].Dialog
  const close = () => setAsked(undefined)
  return (
    <div className={classes.column}>
      <Group justify="flex-end">
        <RefusableButton
          size="xs"
          variant="default"
          leftSection={<Icon name="plus" size={14} />}
          obstacle={obstacleToChange('addDisk', guest)}
          onClick={() => setAdding(true)}
        >
          {t('change.addDiskButton')}
        </RefusableButton>
      </Group>
      {volumes.length === 0 ? <Empty icon="volume" title={t('disks.none')} /> : null}
      {volumes.map((volume) => (
        <VolumePanel
          key={volume.id}
          volume={volume}
          title={volume.name}
          actions={<DiskActions guest={guest} volume={volume} onAsk={(name) => setAsked({ name, volume })} />}
        />
      ))}
      {asked && Dialog ? <Dialog guest={guest} volume={asked.volume} onClose={close} /> : null}
      {isAdding ? <AddDiskDialog guest={guest} onClose={() => setAdding(false)} /> : null}
    </div>
  )
}

function DiskActions(props: { guest: GuestView; volume: VolumeView; onAsk: (name: DialogName) => void }) {
  const { guest, volume, onAsk } = props
  const t = useText()
  const language = useLanguage()
  const { client } = useSession()
  const limits = diskLimitsText(limitsOfDisk(guest, volume), language)
  const cancel = async () => {
    const done = await client.call(ENDPOINTS['volume.cancel-move'], { params: { volume: volume.id } })
    if (!done.ok) showFailure(done.error)
  }
  const obstacleTo = (name: DialogName) => {
    if (volume.attachment !== 'attached') return 'obstacle.diskOnItsWay' as const
    if (name === 'replica' && volume.move !== null) return 'obstacle.replicaMoves' as const
    return name === 'grow' || name === 'remove' ? obstacleToChange('resize', guest) : undefined
  }
  return (
    <Group mt="sm" gap={8}>
      {(Object.keys(DIALOGS) as DialogName[]).map((name) => (
        <RefusableButton
          key={name}
          size="compact-xs"
          variant="default"
          obstacle={obstacleTo(name)}
          onClick={() => onAsk(name)}
        >
          {t(DIALOGS[name].text)}
        </RefusableButton>
      ))}
      <ExportDisk guest={guest} volume={volume} />
      {volume.move ? (
        <Button size="compact-xs" variant="default" onClick={() => void cancel()}>
          {t('change.cancelReplica')}
        </Button>
      ) : null}
      {limits === '' ? null : <span className={classes.dim}>{t('change.limitedTo', { limits })}</span>}
    </Group>
  )
}
