/** High availability: how it stands, what is demanded, what was decided and why, how failovers went. */
import { useNavigate, useSearch } from '@tanstack/react-router'
import { useText } from '../i18n/texts.ts'
import { TabbedPage } from '../parts/tabbed-page.tsx'
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
  return (
    <TabbedPage<AvailabilityTab>
      icon="shield"
      title={t('nav.availability')}
      tabs={AVAILABILITY_TABS}
      titleOf={(one) => t(`avail.tab.${one}`)}
      contents={CONTENTS}
      chosen={tab}
      onChoose={(next) => void navigate({ to: '/availability', search: { tab: next }, replace: true })}
    />
  )
}
