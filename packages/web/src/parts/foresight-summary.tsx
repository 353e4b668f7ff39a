/** What a change would do, in words, before it is done. */
import { Loader } from '@mantine/core'
import type { ForesightView } from '@stead/api/foresight-view.ts'
import type { Failure } from '@stead/core/errors.ts'
import { useLanguage, useText } from '../i18n/texts.ts'
import { FailureAlert } from './failure-alert.tsx'
import { durationText } from './figures.ts'
import { Icon } from './icon.tsx'
import classes from './foresight-summary.module.css'

export interface ForesightSummaryProps {
  readonly views: readonly ForesightView[] | undefined
  readonly failure: Failure | undefined
  readonly isPending: boolean
}

export function ForesightSummary({ views, failure, isPending }: ForesightSummaryProps) {
  const t = useText()
  if (failure) return <FailureAlert failure={failure} />
  if (isPending) {
    return (
      <div className={classes.box} role="status">
        <Loader size="xs" /> {t('foresight.pending')}
      </div>
    )
  }
  if (!views || views.length === 0) return null
  return (
    <div className={classes.box}>
      <strong className={classes.head}>{t('foresight.title')}</strong>
      {views.map((view) => (
        <Foreseen key={view.supposition} view={view} />
      ))}
    </div>
  )
}

function Foreseen({ view }: { view: ForesightView }) {
  const t = useText()
  const language = useLanguage()
  return (
    <>
      <p className={classes.sentence}>{view.summary}</p>
      <ul className={classes.list}>
        {view.guests.map((guest) => (
          <li key={guest.name}>
            <strong>{guest.name}</strong>: {guest.from ?? '–'} → {guest.to ?? '–'}
            <span className={classes.dim}>
              {' · '}
              {guest.downMs === null
                ? t('foresight.staysDown')
                : guest.downMs === 0
                  ? t('foresight.noBreak')
                  : t('foresight.down', { time: durationText(guest.downMs, language) })}
            </span>
          </li>
        ))}
        {view.data.map((risk) => (
          <li key={`${risk.guest}/${risk.volume}`} className={classes.risk}>
            <Icon name="warning" size={14} /> {risk.text}
          </li>
        ))}
        {view.breaches.map((breach) => (
          <li key={breach.text} className={classes.risk}>
            <Icon name="warning" size={14} /> {breach.text}
          </li>
        ))}
      </ul>
    </>
  )
}
