/** What would come of a failure: who goes down, for how long, where it returns, what is left unprotected. */
import { Loader } from '@mantine/core'
import { Link } from '@tanstack/react-router'
import type { ForesightView } from '@stead/api/foresight-view.ts'
import { useLanguage, useText } from '../i18n/texts.ts'
import { durationText } from '../parts/figures.ts'
import { Icon } from '../parts/icon.tsx'
import { Panel } from '../parts/page.tsx'
import classes from './outcome-panel.module.css'

export function Outcome({ view, isOld }: { view: ForesightView; isOld: boolean }) {
  const t = useText()
  const language = useLanguage()
  const { figures } = view
  const time = (ms: number) => durationText(ms, language)
  const from = (samples: number) => (samples === 0 ? t('whatIf.assumed') : t('whatIf.measured', { count: samples }))
  return (
    <div className={classes.column} aria-busy={isOld} data-old={isOld || undefined}>
      <p className={classes.summary} role="status">
        {view.summary}
      </p>
      {view.guests.length === 0 ? null : (
        <Panel title={t('whatIf.guests')}>
          <ul className={classes.guests}>
            {view.guests.map((guest) => (
              <li key={guest.name} className={classes.guest}>
                <span>
                  <Link to="/guests/$guest" params={{ guest: guest.name }} className={classes.name}>
                    {guest.name}
                  </Link>{' '}
                  <span className={classes.way}>
                    {guest.from ?? '–'} → {guest.to ?? '–'}
                  </span>
                </span>
                <span className={classes.away} data-tone={guest.to === null ? 'bad' : 'warn'}>
                  {guest.downMs === null
                    ? t('foresight.staysDown')
                    : guest.downMs === 0
                      ? t('foresight.noBreak')
                      : t('foresight.down', { time: time(guest.downMs) })}
                </span>
                <span className={classes.why}>{guest.why}</span>
              </li>
            ))}
          </ul>
        </Panel>
      )}
      {view.data.length === 0 && view.breaches.length === 0 ? null : (
        <Panel title={t('whatIf.unprotected')}>
          <ul className={classes.risks}>
            {view.data.map((risk) => (
              <li key={`${risk.guest}/${risk.volume}`} data-risk={risk.risk}>
                <Icon name="warning" size={15} /> <span>{risk.text}</span>
              </li>
            ))}
            {view.breaches.map((breach) => (
              <li key={breach.text}>
                <Icon name="shield" size={15} /> <span>{breach.text}</span>
              </li>
            ))}
          </ul>
        </Panel>
      )}
      {view.timeline.length === 0 ? null : (
        <Panel title={t('whatIf.timeline')}>
          <ol className={classes.timeline}>
            {view.timeline.map(({ atMs, text }) => (
              <li key={`${atMs}/${text}`}>
                <span className={classes.at}>{time(atMs)}</span>
                <span>{text}</span>
              </li>
            ))}
          </ol>
          <p className={classes.figures}>
            {t('whatIf.figures', {
              loss: time(figures.lossMs),
              start: time(figures.startMs),
              starts: from(figures.samples.start),
            })}
          </p>
        </Panel>
      )}
    </div>
  )
}

export function OutcomePending() {
  const t = useText()
  return (
    <p className={classes.pending} role="status">
      <Loader size="xs" /> {t('foresight.pending')}
    </p>
  )
}
