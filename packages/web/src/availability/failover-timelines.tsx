/** How failovers went, as bars: until the loss was agreed upon, until the grant, until the start. */
import { Link } from '@tanstack/react-router'
import { useMemo } from 'react'
import { useLanguage, useText } from '../i18n/texts.ts'
import { useLive } from '../live/use-live.ts'
import { durationText, momentText } from '../parts/figures.ts'
import { Empty, Panel } from '../parts/page.tsx'
import { ShortTable } from '../table/short-table.tsx'
import { failoversIn, lengthMs, type Failover, type RecoveredGuest } from './failovers.ts'
import classes from './failover-timelines.module.css'

const PHASES = ['detected', 'granted', 'started'] as const

export function FailoverTimelines() {
  const t = useText()
  const events = useLive((state) => state.events)
  const failovers = useMemo(() => failoversIn(events), [events])
  if (failovers.length === 0) return <Empty icon="shield" title={t('failovers.none')} text={t('failovers.noneText')} />
  return (
    <div className={classes.column}>
      <ul className={classes.legend} aria-label={t('failovers.legend')}>
        {PHASES.map((phase) => (
          <li key={phase}>
            <span className={classes.mark} data-phase={phase} />
            {t(`failovers.${phase}`)}
          </li>
        ))}
      </ul>
      {failovers.map((failover) => (
        <Timeline key={failover.id} failover={failover} />
      ))}
    </div>
  )
}

function Timeline({ failover }: { failover: Failover }) {
  const t = useText()
  const language = useLanguage()
  const begin = failover.suspectedAtMs ?? failover.lostAtMs
  const whole = Math.max(1, lengthMs(failover))
  return (
    <Panel
      title={t('failovers.lost', { name: failover.host })}
      aside={
        <time dateTime={new Date(failover.lostAtMs).toISOString()}>{momentText(failover.lostAtMs, language)}</time>
      }
    >
      <p className={classes.summary}>
        {t('failovers.summary', { count: failover.guests.length, time: durationText(whole, language) })}{' '}
        {failover.backAtMs === undefined
          ? t('failovers.notBack')
          : t('failovers.back', { time: durationText(failover.backAtMs - begin, language) })}
      </p>
      {failover.guests.length === 0 ? null : (
        <ShortTable
          label={t('failovers.guest')}
          columns={[
            t('failovers.guest'),
            ...PHASES.map((phase) => ({ text: t(`failovers.${phase}`), isFigure: true as const })),
            { text: t('failovers.course'), className: classes.bars },
          ]}
        >
          {failover.guests.map((guest) => (
            <GuestRow key={guest.name} {...{ guest, begin, whole }} lostAtMs={failover.lostAtMs} />
          ))}
        </ShortTable>
      )}
    </Panel>
  )
}

function GuestRow(props: { guest: RecoveredGuest; begin: number; whole: number; lostAtMs: number }) {
  const { guest, begin, whole, lostAtMs } = props
  const language = useLanguage()
  const ends = { detected: lostAtMs, granted: guest.grantedAtMs, started: guest.startedAtMs }
  let from = begin
  const bars = PHASES.flatMap((phase) => {
    const end = ends[phase]
    if (end === undefined) return []
    const bar = { phase, left: (100 * (from - begin)) / whole, width: (100 * (end - from)) / whole }
    from = end
    return [bar]
  })
  return (
    <tr>
      <th scope="row">
        <Link to="/guests/$guest" params={{ guest: guest.name }}>
          {guest.name}
        </Link>
        <span className={classes.to}> → {guest.to}</span>
      </th>
      {PHASES.map((phase) => {
        const end = ends[phase]
        return (
          <td key={phase} data-figure>
            {end === undefined ? '–' : durationText(end - begin, language)}
          </td>
        )
      })}
      <td className={classes.bars}>
        <svg className={classes.course} viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">
          {bars.map(({ phase, left, width }) => (
            <rect key={phase} className={classes.bar} data-phase={phase} x={left} width={width} height="10" />
          ))}
        </svg>
      </td>
    </tr>
  )
}
