/** The networks: which carries what, by which ports, whether it works, what its failure would do; and guests' cards. */
import { Alert, Button } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { HostNetworkView, NetworkWayView } from '@stead/api/endpoints/networks.ts'
import type { FailingThing } from '@stead/api/foresight-view.ts'
import { NETWORK_ROLES, type NetworkRole } from '@stead/core/model/host.ts'
import { addressOf } from '../foresight/failing-thing.ts'
import { useLanguage, useText } from '../i18n/texts.ts'
import { useVolumes } from '../live/use-live.ts'
import { Answered } from '../parts/answered.tsx'
import { latencyText, speedText } from '../parts/figures.ts'
import { FailureAlert } from '../parts/failure-alert.tsx'
import { Icon } from '../parts/icon.tsx'
import { Page, PageHead, Panel } from '../parts/page.tsx'
import { ToneBadge } from '../parts/state-badge.tsx'
import { useSession } from '../session/session-context.ts'
import { ShortTable } from '../table/short-table.tsx'
import { GuestCards } from './guest-cards.tsx'
import { findingsOf, isSevere, slowestWay, standInFor, wayFindings } from './network-judgement.ts'
import { useFindingText } from './finding-text.ts'
import classes from './networks-page.module.css'

const LOOK_MS = 5_000

export function NetworksPage() {
  const t = useText()
  const { client } = useSession()
  const asked = useQuery({
    queryKey: ['networks'],
    refetchInterval: LOOK_MS,
    queryFn: () => client.call(ENDPOINTS['network.list']),
  })
  // Packets are sent for it: only when somebody wants to know.
  const measured = useQuery({
    queryKey: ['network-ways'],
    enabled: false,
    queryFn: () => client.call(ENDPOINTS['network.measure']),
  })
  return (
    <Page>
      <PageHead
        icon="network"
        title={t('nav.networks')}
        actions={
          <Button variant="default" loading={measured.isFetching} onClick={() => void measured.refetch()}>
            {t('networks.measure')}
          </Button>
        }
      />
      {measured.data?.ok === false ? <FailureAlert failure={measured.data.error} /> : null}
      <Answered asked={asked}>
        {({ items, silent }) => (
          <>
            {silent.length > 0 ? (
              <Alert color="yellow" variant="light" icon={<Icon name="warning" />}>
                {t('networks.silentHosts', { hosts: silent.join(', ') })}
              </Alert>
            ) : null}
            <Networks items={items} ways={measured.data?.ok ? measured.data.value.items : []} />
          </>
        )}
      </Answered>
      <GuestCards />
    </Page>
  )
}

function Networks({ items, ways }: { items: readonly HostNetworkView[]; ways: readonly NetworkWayView[] }) {
  const t = useText()
  const present = NETWORK_ROLES.filter((role) => items.some(({ network }) => network === role))
  return NETWORK_ROLES.map((role) => {
    const sides = items.filter(({ network }) => network === role)
    if (sides.length > 0)
      return <Network key={role} role={role} sides={sides} ways={ways.filter(({ network }) => network === role)} />
    const standIn = standInFor(role, present)
    return (
      <Panel key={role} title={t(`networks.title.${role}`)}>
        <p className={classes.text}>
          {t(`networks.carries.${role}`)}{' '}
          {standIn ? t('networks.standIn', { network: standIn.toUpperCase() }) : t('networks.none')}
        </p>
      </Panel>
    )
  })
}

interface NetworkProps {
  readonly role: NetworkRole
  readonly sides: readonly HostNetworkView[]
  /** As they were measured; empty as long as nobody has wanted that. */
  readonly ways: readonly NetworkWayView[]
}

function Network({ role, sides, ways }: NetworkProps) {
  const t = useText()
  return (
    <Panel title={t(`networks.title.${role}`)} aside={<WhatIf thing={{ kind: 'network-down', network: role }} />}>
      <p className={classes.text}>{t(`networks.carries.${role}`)}</p>
      <Findings role={role} sides={sides} ways={ways} />
      <ShortTable
        label={t(`networks.title.${role}`)}
        columns={[
          t('column.host'),
          t('networks.address'),
          t('networks.port'),
          t('networks.link'),
          { text: t('networks.mtu'), isFigure: true },
          t('networks.hears'),
          ...(ways.length === 0 ? [] : [{ text: t('networks.slowest'), isFigure: true as const }]),
          t('networks.cable'),
        ]}
      >
        {sides.map((side) => (
          <Side key={side.host} side={side} ways={ways} />
        ))}
      </ShortTable>
    </Panel>
  )
}

function Findings({ role, sides, ways }: NetworkProps) {
  const t = useText()
  const textOf = useFindingText()
  const detours = useDetours(role)
  const found = [...findingsOf(role, sides), ...wayFindings(role, ways)]
  if (found.length === 0 && detours === 0) return <p className={classes.fine}>{t('networks.fine')}</p>
  return (
    <ul className={classes.findings}>
      {found.map((finding) => (
        <li key={JSON.stringify(finding)} data-severe={isSevere(finding)}>
          <Icon name="warning" size={16} />
          {textOf(finding)}
        </li>
      ))}
      {detours === 0 ? null : (
        <li>
          <Icon name="move" size={16} />
          {t('networks.detours', { count: detours })}
        </li>
      )}
    </ul>
  )
}

/** Replicas that guests reach by another network, storage's own being cut to them. */
function useDetours(role: NetworkRole): number {
  const volumes = useVolumes()
  if (role !== 'san') return 0
  return volumes.reduce((sum, { replicas }) => sum + replicas.filter(({ redirected }) => redirected).length, 0)
}

function Side({ side, ways }: { side: HostNetworkView; ways: readonly NetworkWayView[] }) {
  const t = useText()
  const { host, network, address, port, peers } = side
  return (
    <tr>
      <th scope="row">
        <Link to="/hosts/$host" params={{ host }}>
          {host}
        </Link>
      </th>
      <td>
        <code>{address}</code>
      </td>
      <td>{port ? <PortText port={port} /> : '–'}</td>
      <td>{port ? <LinkState port={port} /> : <ToneBadge tone="bad" text={t('networks.noPort')} />}</td>
      <td data-figure>{port ? port.mtuBytes : '–'}</td>
      <td>
        <Peers peers={peers} />
      </td>
      {ways.length === 0 ? null : (
        <td data-figure>
          <Slowest ways={ways.filter(({ from }) => from === host)} />
        </td>
      )}
      <td>
        <WhatIf thing={{ kind: 'network-down', network, host }} />
      </td>
    </tr>
  )
}

function PortText({ port }: { port: NonNullable<HostNetworkView['port']> }) {
  const t = useText()
  const kind = port.vlan === null ? t(`networks.kind.${port.kind}`) : t('networks.vlan', { number: port.vlan })
  const members = port.members.map(({ name }) => name).join(', ')
  return (
    <>
      <code>{port.name}</code>{' '}
      <span className={classes.dim}>{members === '' ? kind : t('networks.over', { kind, members })}</span>
    </>
  )
}

const LINK_TONES = { up: 'good', down: 'bad', unknown: 'quiet' } as const

function LinkState({ port }: { port: NonNullable<HostNetworkView['port']> }) {
  const t = useText()
  const language = useLanguage()
  const { state, speedBitsPerSecond } = port
  const speed = speedBitsPerSecond === null ? '' : `, ${speedText(speedBitsPerSecond, language)}`
  return <ToneBadge tone={LINK_TONES[state]} text={`${t(`networks.state.${state}`)}${speed}`} />
}

/** All of them in one word where that is so; else those that matter. */
function Peers({ peers }: { peers: HostNetworkView['peers'] }) {
  const t = useText()
  const names = (state: HostNetworkView['peers'][number]['state']) =>
    peers.flatMap((peer) => (peer.state === state ? peer.host : []))
  const [silent, down] = [names('silent'), names('down')]
  if (peers.length === 0) return t('networks.alone')
  if (silent.length === 0 && down.length === 0) return <ToneBadge tone="good" text={t('networks.hearsAll')} />
  return (
    <span className={classes.peers}>
      {silent.length === 0 ? null : (
        <ToneBadge tone="bad" text={t('networks.hearsNot', { hosts: silent.join(', ') })} />
      )}
      {down.length === 0 ? null : <ToneBadge tone="quiet" text={t('networks.isDown', { hosts: down.join(', ') })} />}
    </span>
  )
}

/** The longest of the ways that begin here, which says the most about the network. */
function Slowest({ ways }: { ways: readonly NetworkWayView[] }) {
  const t = useText()
  const language = useLanguage()
  const way = slowestWay(ways)
  if (!way) return '–'
  return way.latencyMs === null
    ? t('networks.nothingBack', { host: way.to })
    : t('networks.wayTo', { time: latencyText(way.latencyMs, language), host: way.to })
}

function WhatIf({ thing }: { thing: Extract<FailingThing, { kind: 'network-down' }> }) {
  const t = useText()
  const network = thing.network.toUpperCase()
  const label =
    thing.host === undefined
      ? t('networks.ifSwitch', { network })
      : t('networks.ifCable', { network, host: thing.host })
  return (
    <Link to="/what-if" search={{ what: addressOf(thing) }} aria-label={label}>
      {t('nav.whatIf')}
    </Link>
  )
}
