/** The whole cluster in words: is everything protected, what is at risk right now, what would each failure do. */
import { Loader } from '@mantine/core'
import { Link } from '@tanstack/react-router'
import { useMemo } from 'react'
import type { SingleFailureView } from '@stead/api/foresight-view.ts'
import { EventList } from '../activity/event-list.tsx'
import { addressOf } from '../foresight/failing-thing.ts'
import { useSingleFailures } from '../foresight/use-single-failures.ts'
import { HostCard } from '../hosts/host-card.tsx'
import hostClasses from '../hosts/hosts-page.module.css'
import { useLanguage, useText } from '../i18n/texts.ts'
import { useGuests, useHosts, useLive } from '../live/use-live.ts'
import { FailureAlert } from '../parts/failure-alert.tsx'
import { durationText } from '../parts/figures.ts'
import { Icon } from '../parts/icon.tsx'
import { LoadingRows } from '../parts/loading-rows.tsx'
import { Page, Panel, Panels } from '../parts/page.tsx'
import { StateDot } from '../parts/state-badge.tsx'
import { healthOf, type HealthLine } from './cluster-health.ts'
import classes from './overview-page.module.css'

const EVENTS_SHOWN = 8
const NAMES_SHOWN = 6
const HEADLINE_ICONS = { good: 'shield', warn: 'warning', bad: 'warning' } as const

export function OverviewPage() {
  const t = useText()
  const isKnown = useLive((state) => state.isKnown)
  const seesCluster = useLive((state) => state.cluster !== undefined)
  const guests = useGuests()
  const hosts = useHosts()
  const events = useLive((state) => state.events)
  const health = useMemo(() => healthOf(guests, hosts), [guests, hosts])
  if (!isKnown) {
    return (
      <Page>
        <LoadingRows />
      </Page>
    )
  }
  return (
    <Page>
      <section className={classes.hero} data-tone={health.headline} aria-label={t('overview.state')}>
        <span className={classes.heroIcon}>
          <Icon name={HEADLINE_ICONS[health.headline]} size={30} />
        </span>
        <div className={classes.heroText}>
          <h1 className={classes.headline}>{t(`overview.headline.${health.headline}`)}</h1>
          <p className={classes.sub}>
            {t('overview.counts', {
              running: guests.filter(({ state }) => state === 'running').length,
              guests: guests.length,
              online: hosts.filter(({ state }) => state === 'online').length,
              hosts: hosts.length,
            })}
          </p>
          {health.lines.length === 0 ? null : (
            <ul className={classes.lines}>
              {health.lines.map((line) => (
                <HealthSentence key={line.text} line={line} />
              ))}
            </ul>
          )}
        </div>
      </section>
      <section aria-label={t('nav.hosts')}>
        <div className={hostClasses.cards}>
          {hosts.map((host) => (
            <HostCard key={host.name} host={host} />
          ))}
        </div>
      </section>
      <Panels>
        {seesCluster ? (
          <Panel title={t('overview.ifFails')}>
            <SingleFailures />
          </Panel>
        ) : null}
        <Panel title={t('overview.lately')} aside={<Link to="/events">{t('overview.allEvents')}</Link>}>
          <EventList events={events.slice(-EVENTS_SHOWN)} />
        </Panel>
      </Panels>
    </Page>
  )
}

function HealthSentence({ line }: { line: HealthLine }) {
  const t = useText()
  const shown = line.names.slice(0, NAMES_SHOWN)
  return (
    <li className={classes.line}>
      <StateDot tone={line.tone} />
      <span>
        {t(line.text, line.values)}{' '}
        {shown.map((name, index) => (
          <span key={name}>
            {index === 0 ? '' : ', '}
            {line.of === 'guests' ? (
              <Link to="/guests/$guest" params={{ guest: name }}>
                {name}
              </Link>
            ) : (
              <Link to="/hosts/$host" params={{ host: name }}>
                {name}
              </Link>
            )}
          </span>
        ))}
        {line.names.length > shown.length
          ? ` ${t('overview.andMore', { count: line.names.length - shown.length })}`
          : ''}
      </span>
    </li>
  )
}

function SingleFailures() {
  const t = useText()
  const answer = useSingleFailures()
  if (!answer.data) {
    return (
      <p className={classes.pending} role="status">
        <Loader size="xs" /> {t('foresight.pending')}
      </p>
    )
  }
  if (!answer.data.ok) return <FailureAlert failure={answer.data.error} />
  const { items } = answer.data.value
  if (items.length === 0) return <p className={classes.pending}>{t('overview.nothingFails')}</p>
  return (
    <ul className={classes.failures}>
      {items.map((view) => (
        <FailureLine key={view.supposition} view={view} />
      ))}
    </ul>
  )
}

function FailureLine({ view }: { view: SingleFailureView }) {
  const t = useText()
  const language = useLanguage()
  const { stayDown, longestDownMs, outOfReach } = view.sums
  const tone = !view.canDecide || stayDown > 0 || outOfReach > 0 ? 'bad' : 'good'
  return (
    <li className={classes.failure}>
      <StateDot tone={tone} />
      <div>
        <Link to="/what-if" search={{ what: addressOf(view.suppose) }} className={classes.supposition}>
          {view.supposition}
        </Link>
        <div className={classes.outcome}>{view.summary}</div>
      </div>
      <span className={classes.longest}>
        {stayDown > 0
          ? t('overview.stay', { count: stayDown })
          : longestDownMs > 0
            ? t('overview.longest', { time: durationText(longestDownMs, language) })
            : t('foresight.noBreak')}
      </span>
    </li>
  )
}
