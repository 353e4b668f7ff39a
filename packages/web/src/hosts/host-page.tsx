/** One host: how full it is, what runs on it, what its loss would mean; and how to empty it. */
import { Button, Tabs } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { Link, useNavigate, useParams } from '@tanstack/react-router'
import { lazy, Suspense, useState } from 'react'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { FailingThing } from '@stead/api/foresight-view.ts'
import type { HostView } from '@stead/api/views.ts'
import { EventList } from '../activity/event-list.tsx'
import { addressOf } from '../foresight/failing-thing.ts'
import { useLanguage, useText, withTexts } from '../i18n/texts.ts'
import { useGuests, useHost, useLive } from '../live/use-live.ts'
import { ActionMenu } from '../parts/action-menu.tsx'
import { FailureAlert } from '../parts/failure-alert.tsx'
import { bytesText, momentText } from '../parts/figures.ts'
import { Icon } from '../parts/icon.tsx'
import { LoadingRows } from '../parts/loading-rows.tsx'
import { Meter } from '../parts/meter.tsx'
import { Empty, Facts, Page, PageHead, Panel, Panels } from '../parts/page.tsx'
import { RefusableButton } from '../parts/refusable-button.tsx'
import { StateBadge } from '../parts/state-badge.tsx'
import { useRefusal } from '../session/privileges.ts'
import { useSession } from '../session/session-context.ts'
import { HostActionDialog } from './host-action-dialog.tsx'
import { demandOf, hostActions, obstacleTo, type HostAction } from './host-actions.ts'
import classes from './host-page.module.css'

const HostCharts = lazy(
  withTexts(['metrics'], async () => ({ default: (await import('../metrics/host-charts.tsx')).HostCharts })),
)

const HostUse = lazy(async () => ({ default: (await import('./host-use.tsx')).HostUse }))

export function HostPage() {
  const { host: name } = useParams({ from: '/hosts/$host' })
  const t = useText()
  const navigate = useNavigate()
  const host = useHost(name)
  const isKnown = useLive((state) => state.isKnown)
  const events = useLive((state) => state.events)
  const [asked, setAsked] = useState<HostAction>()
  if (!host) {
    return (
      <Page>
        {isKnown ? (
          <Empty isPage icon="host" title={t('host.none', { name })}>
            <Button onClick={() => void navigate({ to: '/hosts' })}>{t('nav.hosts')}</Button>
          </Empty>
        ) : (
          <LoadingRows />
        )}
      </Page>
    )
  }
  const loss: FailingThing = { kind: 'host-down', hosts: [host.name] }
  return (
    <Page>
      <PageHead
        icon={host.role === 'witness' ? 'shield' : 'host'}
        kind={t(`host.role.${host.role}`)}
        title={host.name}
        badges={<StateBadge state={host.state} />}
        actions={
          <>
            <Button
              size="xs"
              variant="default"
              leftSection={<Icon name="map" size={15} />}
              onClick={() => void navigate({ to: '/what-if', search: { what: addressOf(loss) } })}
            >
              {t('nav.whatIf')}
            </Button>
            <HostActions host={host} onAsk={setAsked} />
          </>
        }
      />
      <Tabs defaultValue="summary" keepMounted={false}>
        <Tabs.List mb="md">
          <Tabs.Tab value="summary">{t('tab.summary')}</Tabs.Tab>
          <Tabs.Tab value="charts">{t('tab.charts')}</Tabs.Tab>
          {host.role === 'compute' ? <Tabs.Tab value="use">{t('use.tab')}</Tabs.Tab> : null}
          <Tabs.Tab value="loss">{t('host.loss')}</Tabs.Tab>
          <Tabs.Tab value="history">{t('tab.history')}</Tabs.Tab>
        </Tabs.List>
        <Tabs.Panel value="summary">
          <Summary host={host} />
        </Tabs.Panel>
        <Tabs.Panel value="charts">
          <Suspense fallback={<LoadingRows />}>
            <HostCharts host={host} />
          </Suspense>
        </Tabs.Panel>
        <Tabs.Panel value="use">
          <Suspense fallback={<LoadingRows />}>
            <HostUse host={host} />
          </Suspense>
        </Tabs.Panel>
        <Tabs.Panel value="loss">
          <Explanation host={host} />
        </Tabs.Panel>
        <Tabs.Panel value="history">
          <Panel title={t('tab.history')}>
            <EventList events={events.filter(({ subject }) => subject === `host/${host.name}`)} />
          </Panel>
        </Tabs.Panel>
      </Tabs>
      {asked ? <HostActionDialog host={host} action={asked} onClose={() => setAsked(undefined)} /> : null}
    </Page>
  )
}

/** The first in the open, the others behind a button. */
function HostActions({ host, onAsk }: { host: HostView; onAsk: (action: HostAction) => void }) {
  const t = useText()
  const refusals = { '/': useRefusal('/'), [`/hosts/${host.name}`]: useRefusal(`/hosts/${host.name}`) }
  const actions = hostActions(host).map((action) => {
    const { privilege, path } = demandOf(action, host.name)
    const obstacle = obstacleTo(action, host)
    const refusal = obstacle === undefined ? refusals[path]?.(privilege) : t(obstacle)
    return { action, text: t(`host.${action}`), refusal, onClick: () => onAsk(action) }
  })
  const open = actions.filter(({ action }) => action === 'drain' || action === 'undrain')
  return (
    <>
      {open.map(({ action, text, refusal, onClick }) => (
        <RefusableButton
          key={action}
          size="xs"
          variant="default"
          leftSection={<Icon name={action === 'undrain' ? 'check' : 'move'} size={15} />}
          refusal={refusal}
          onClick={onClick}
        >
          {text}
        </RefusableButton>
      ))}
      <ActionMenu label={t('word.more')} actions={actions.filter((each) => !open.includes(each))} />
    </>
  )
}

function Summary({ host }: { host: HostView }) {
  const t = useText()
  const language = useLanguage()
  const here = useGuests().filter((guest) => guest.host === host.name)
  const size = (bytes: number) => bytesText(bytes, language)
  return (
    <Panels>
      <Panel title={t('host.room')}>
        <div className={classes.meters}>
          <Meter
            label={t('column.memory')}
            part={host.memoryGrantedBytes}
            whole={host.memoryBytes}
            text={t('word.of', { part: size(host.memoryGrantedBytes), whole: size(host.memoryBytes) })}
          />
          {host.pools.map((pool) => (
            <Meter
              key={pool.name}
              label={t('host.pool', { name: pool.name })}
              part={pool.allocatedBytes}
              whole={pool.capacityBytes}
              text={t('word.of', { part: size(pool.allocatedBytes), whole: size(pool.capacityBytes) })}
            />
          ))}
        </div>
      </Panel>
      <Panel title={t('host.what')}>
        <Facts
          items={[
            [t('column.cpus'), host.cpuCount],
            [t('host.accelerator'), t(`accelerator.${host.accelerator}`)],
            [t('guests.containers'), host.containers ? `LXC ${host.containers.lxc}` : t('word.no')],
            ...Object.entries(host.addresses).map(([role, address]) => [role.toUpperCase(), address] as const),
            ...Object.entries(host.faultDomains).map(([kind, domain]) => [kind, domain] as const),
            host.since === null ? undefined : [t('host.since'), momentText(host.since, language)],
            host.coordinator ? [t('host.coordinator'), t('host.coordinatorText')] : undefined,
          ]}
        />
      </Panel>
      <Panel title={t('guests.count', { count: here.length })}>
        {here.length === 0 ? <p className={classes.none}>{t('host.noGuests')}</p> : null}
        <ul className={classes.guests}>
          {here.map((guest) => (
            <li key={guest.id} className={classes.guest}>
              <Icon name={guest.kind} size={16} />
              <Link to="/guests/$guest" params={{ guest: guest.name }} className={classes.guestName}>
                {guest.name}
              </Link>
              <span className={classes.memory}>{size(guest.memoryBytes)}</span>
              <StateBadge state={guest.state} />
            </li>
          ))}
        </ul>
      </Panel>
    </Panels>
  )
}

/** What its state means for each guest, or what its loss would mean. */
function Explanation({ host }: { host: HostView }) {
  const t = useText()
  const { client } = useSession()
  const answer = useQuery({
    queryKey: ['host-explanation', host.name, host.state, host.guests],
    queryFn: () => client.call(ENDPOINTS['host.explain'], { params: { host: host.name } }),
  })
  if (!answer.data) return <LoadingRows />
  if (!answer.data.ok) return <FailureAlert failure={answer.data.error} />
  const { facts, guests } = answer.data.value
  return (
    <Panels>
      <Panel title={t('host.known')}>
        <ul className={classes.facts}>
          {facts.map((fact) => (
            <li key={fact}>{fact}</li>
          ))}
        </ul>
      </Panel>
      <Panel title={t('host.loss')}>
        {guests.length === 0 ? <p className={classes.none}>{t('host.noGuests')}</p> : null}
        <Facts items={guests.map((guest) => [guest.name, guest.meaning] as const)} />
      </Panel>
    </Panels>
  )
}
