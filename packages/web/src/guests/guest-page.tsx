/** One guest: what it is, where its data are, what happened to it and why. */
import { Button, Tabs } from '@mantine/core'
import { Link, useNavigate, useParams, useSearch } from '@tanstack/react-router'
import { lazy, Suspense } from 'react'
import type { TextKey } from '../i18n/language.ts'
import { useText, withTexts } from '../i18n/texts.ts'
import { useGuest, useLive } from '../live/use-live.ts'
import { LoadingRows } from '../parts/loading-rows.tsx'
import { Empty, Page, PageHead } from '../parts/page.tsx'
import { ProtectionBadge, StateBadge } from '../parts/state-badge.tsx'
import { GuestActionButtons } from './guest-action-buttons.tsx'
import { GuestMigration } from './guest-migration.tsx'
import { GuestSummary } from './guest-summary.tsx'

const loadConsole = withTexts(['consoles'], () => import('./guest-console.tsx'))
const GuestConsole = lazy(async () => ({ default: (await loadConsole()).GuestConsole }))
const GuestCharts = lazy(
  withTexts(['metrics'], async () => ({ default: (await import('../metrics/guest-charts.tsx')).GuestCharts })),
)
const loadMore = withTexts(['guests', 'hardware'], () => import('./guest-more-menu.tsx'))
const GuestMoreMenu = lazy(async () => ({ default: (await loadMore()).GuestMoreMenu }))
const loadDisks = withTexts(['guests', 'hardware', 'create'], () => import('./guest-disks.tsx'))
const GuestDisks = lazy(async () => ({ default: (await loadDisks()).GuestDisks }))
const loadHardware = withTexts(['guests', 'hardware', 'create'], () => import('./guest-hardware.tsx'))
const GuestHardware = lazy(async () => ({ default: (await loadHardware()).GuestHardware }))
const loadInside = withTexts(['guests', 'hardware', 'inside'], () => import('./guest-inside.tsx'))
const GuestInside = lazy(async () => ({ default: (await loadInside()).GuestInside }))
const GuestSnapshots = lazy(async () => ({ default: (await import('./guest-snapshots.tsx')).GuestSnapshots }))
const loadOptions = withTexts(['guests', 'options'], () => import('./guest-options.tsx'))
const GuestOptions = lazy(async () => ({ default: (await loadOptions()).GuestOptions }))
const loadCounters = withTexts(['guests', 'options'], () => import('./guest-counters.tsx'))
const GuestCounters = lazy(async () => ({ default: (await loadCounters()).GuestCounters }))
const loadPermissions = withTexts(['guests', 'options', 'delegation'], () => import('./guest-permissions.tsx'))
const GuestPermissions = lazy(async () => ({ default: (await loadPermissions()).GuestPermissions }))
const GuestHistory = lazy(async () => ({ default: (await import('./guest-history.tsx')).GuestHistory }))
const GuestExplanation = lazy(async () => ({ default: (await import('./guest-explanation.tsx')).GuestExplanation }))

const TABS = {
  summary: { text: 'tab.summary', Content: GuestSummary },
  console: { text: 'tab.console', Content: GuestConsole },
  charts: { text: 'tab.charts', Content: GuestCharts },
  hardware: { text: 'tab.hardware', Content: GuestHardware },
  disks: { text: 'tab.disks', Content: GuestDisks },
  inside: { text: 'tab.inside', Content: GuestInside },
  snapshots: { text: 'tab.snapshots', Content: GuestSnapshots },
  counters: { text: 'tab.counters', Content: GuestCounters },
  options: { text: 'tab.options', Content: GuestOptions },
  permissions: { text: 'tab.permissions', Content: GuestPermissions },
  history: { text: 'tab.history', Content: GuestHistory },
  explanation: { text: 'tab.explanation', Content: GuestExplanation },
} as const satisfies Record<string, { text: TextKey; Content: unknown }>
type TabName = keyof typeof TABS
/** What is counted of containers nobody counts of machines, and only these have an agent inside. */
const KIND_OF_TAB: Partial<Record<TabName, 'vm' | 'ct'>> = { counters: 'ct', inside: 'vm' }

export function GuestPage() {
  const { guest: name } = useParams({ from: '/guests/$guest' })
  const t = useText()
  const navigate = useNavigate()
  const guest = useGuest(name)
  const isKnown = useLive((state) => state.isKnown)
  const { tab: asked = 'summary' } = useSearch({ from: '/guests/$guest' })
  const tabs = (Object.keys(TABS) as TabName[]).filter((one) => (KIND_OF_TAB[one] ?? guest?.kind) === guest?.kind)
  const tab = tabs.find((one) => one === asked) ?? 'summary'
  const show = (next: string | null) =>
    void navigate({ to: '.', search: next === 'summary' || next === null ? {} : { tab: next }, replace: true })
  if (!guest) {
    return (
      <Page>
        {isKnown ? (
          <Empty isPage icon="vm" title={t('guest.none', { name })} text={t('guest.noneText')}>
            <Button onClick={() => void navigate({ to: '/guests' })}>{t('nav.guests')}</Button>
          </Empty>
        ) : (
          <LoadingRows />
        )}
      </Page>
    )
  }
  return (
    <Page>
      <PageHead
        icon={guest.kind}
        kind={t(guest.kind === 'vm' ? 'guest.machine' : 'guest.container')}
        title={guest.name}
        badges={
          <>
            <StateBadge state={guest.state} />
            {guest.template ? <span>{t('guest.isTemplate')}</span> : null}
            <ProtectionBadge protection={guest.protection} />
            {guest.host === null ? null : (
              <Link to="/hosts/$host" params={{ host: guest.host }}>
                {guest.host}
              </Link>
            )}
          </>
        }
        actions={
          <>
            <GuestActionButtons guests={[guest]} />
            <Suspense>
              <GuestMoreMenu guest={guest} />
            </Suspense>
          </>
        }
      />
      <GuestMigration guest={guest} />
      <Tabs value={tab} onChange={show} keepMounted={false}>
        <Tabs.List mb="md">
          {tabs.map((one) => (
            <Tabs.Tab key={one} value={one}>
              {t(TABS[one].text)}
            </Tabs.Tab>
          ))}
        </Tabs.List>
        {tabs.map((one) => {
          const { Content } = TABS[one]
          return (
            <Tabs.Panel key={one} value={one}>
              <Suspense fallback={<LoadingRows />}>
                <Content guest={guest} />
              </Suspense>
            </Tabs.Panel>
          )
        })}
      </Tabs>
    </Page>
  )
}
