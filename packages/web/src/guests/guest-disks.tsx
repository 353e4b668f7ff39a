import type { GuestView } from '@stead/api/views.ts'
import { useText } from '../i18n/texts.ts'
import { useVolumes } from '../live/use-live.ts'
import { Empty } from '../parts/page.tsx'
import { VolumePanel } from '../storage/volume-panel.tsx'
import classes from './guest-tabs.module.css'

/** Each disk with its replicas: where they are, whether they are current, how far they lag. */
export function GuestDisks({ guest }: { guest: GuestView }) {
  const t = useText()
  const volumes = useVolumes().filter(({ guestId }) => guestId === guest.id)
  if (volumes.length === 0) return <Empty icon="volume" title={t('disks.none')} />
  return (
    <div className={classes.column}>
      {volumes.map((volume) => (
        <VolumePanel key={volume.id} volume={volume} title={volume.name} />
      ))}
    </div>
  )
}
