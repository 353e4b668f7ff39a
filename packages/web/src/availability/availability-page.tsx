/** High availability: how it stands, what is demanded, what was decided and why, how failovers went. */
import { Tabs } from '@mantine/core'
import { useNavigate, useSearch } from '@tanstack/react-router'
import { useText } from '../i18n/texts.ts'
import { Page, PageHead } from '../parts/page.tsx'
import { AVAILABILITY_TABS, type AvailabilityTab } from './availability-tabs.ts'
import { Decisions } from './decisions.tsx'
import { FailoverTimelines } from './failover-timelines.tsx'
import { ProtectionState } from './protection-state.tsx'
import { Rules } from './rules.tsx'

const CONTENTS = { state: ProtectionState, rules: Rules, decisions: Decisions, failovers: FailoverTimelines } as const

export function AvailabilityPage() {
  const t = useText()
  const navigate = useNavigate()
  const { tab = 'state' } = useSearch({ from: '/availability' })
  const choose = (next: string | null) =>
    void navigate({ to: '/availability', search: { tab: next as AvailabilityTab }, replace: true })
  return (
    <Page>
      <PageHead icon="shield" title={t('nav.availability')} />
      <Tabs value={tab} onChange={choose} keepMounted={false}>
        <Tabs.List mb="md">
          {AVAILABILITY_TABS.map((one) => (
            <Tabs.Tab key={one} value={one}>
              {t(`avail.tab.${one}`)}
            </Tabs.Tab>
          ))}
        </Tabs.List>
        {AVAILABILITY_TABS.map((one) => {
          const Content = CONTENTS[one]
          return (
            <Tabs.Panel key={one} value={one}>
              <Content />
            </Tabs.Panel>
          )
        })}
      </Tabs>
    </Page>
  )
}
