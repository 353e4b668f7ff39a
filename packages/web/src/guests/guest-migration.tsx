/** How far its live move has come, on every tab; it can be called off until its memory is there. */
import { Button } from '@mantine/core'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { GuestView } from '@stead/api/views.ts'
import { useLanguage, useText } from '../i18n/texts.ts'
import { bytesText, durationText, percentText } from '../parts/figures.ts'
import { Meter } from '../parts/meter.tsx'
import { showFailure } from '../parts/toasts.tsx'
import { useSession } from '../session/session-context.ts'
import classes from './guest-migration.module.css'

export function GuestMigration({ guest }: { guest: GuestView }) {
  const t = useText()
  const language = useLanguage()
  const { client } = useSession()
  const { migration } = guest
  if (!migration) return null
  const { transferredBytes, remainingBytes, bandwidthBytesPerSecond, dirtyBytesPerSecond } = migration
  const whole = transferredBytes + remainingBytes
  const cancel = async () => {
    const done = await client.call(ENDPOINTS['guest.cancel-migration'], { params: { guest: guest.name } })
    if (!done.ok) showFailure(done.error)
  }
  return (
    <section className={classes.migration} aria-label={t('guest.moving', { from: guest.host ?? '', to: migration.to })}>
      <div className={classes.progress}>
        <Meter
          tone="good"
          label={t('guest.moving', { from: guest.host ?? '', to: migration.to })}
          part={transferredBytes}
          whole={whole}
          text={`${percentText(transferredBytes, whole, language)} · ${t('guest.pause', { time: durationText(migration.expectedDowntimeMs, language) })}`}
        />
        <p className={classes.figures}>
          {t('guest.moveFigures', {
            sent: bytesText(transferredBytes, language),
            left: bytesText(remainingBytes, language),
            rate: bytesText(bandwidthBytesPerSecond, language),
            dirty: bytesText(dirtyBytesPerSecond, language),
          })}
        </p>
      </div>
      <Button size="xs" variant="default" onClick={() => void cancel()}>
        {t('guest.cancelMove')}
      </Button>
    </section>
  )
}
