/** Events as a short list, the newest first. */
import type { ClusterEvent } from '@stead/core/model/event.ts'
import { useLanguage, useText } from '../i18n/texts.ts'
import { ageText, momentText } from '../parts/figures.ts'
import { useNow } from '../parts/use-now.ts'
import classes from './event-list.module.css'
import { eventTone } from './event-tone.ts'
import { StateDot } from '../parts/state-badge.tsx'

export function EventList({ events }: { events: readonly ClusterEvent[] }) {
  const t = useText()
  const language = useLanguage()
  const now = useNow()
  if (events.length === 0) return <p className={classes.none}>{t('events.none')}</p>
  return (
    <ol className={classes.list}>
      {events.toReversed().map((event) => (
        <li key={event.id} className={classes.event}>
          <span className={classes.dot}>
            <StateDot tone={eventTone(event.kind)} />
          </span>
          <span className={classes.message}>{event.message}</span>
          <time className={classes.time} dateTime={event.time} title={momentText(event.time, language)}>
            {ageText(Date.parse(event.time), now, language)}
          </time>
        </li>
      ))}
    </ol>
  )
}
