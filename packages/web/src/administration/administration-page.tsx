/** Who there is and what they may, projects, images, the audit, the cluster's settings. */
import { useNavigate, useSearch } from '@tanstack/react-router'
import { useText } from '../i18n/texts.ts'
import { TabbedPage } from '../parts/tabbed-page.tsx'
import { ADMINISTRATION_TABS, type AdministrationTab } from './administration-tabs.ts'
import { Audit } from './audit.tsx'
import { Backups } from './backups.tsx'
import { Groups } from './groups.tsx'
import { Images } from './images.tsx'
import { Permissions, Roles } from './permissions.tsx'
import { Projects } from './projects.tsx'
import { Realms } from './realms.tsx'
import { Settings } from './settings.tsx'
import { Tokens } from './tokens.tsx'
import { Users } from './users.tsx'
import { Webhooks } from './webhooks.tsx'

const CONTENTS = {
  users: Users,
  groups: Groups,
  permissions: Permissions,
  roles: Roles,
  tokens: Tokens,
  realms: Realms,
  projects: Projects,
  images: Images,
  backups: Backups,
  webhooks: Webhooks,
  audit: Audit,
  settings: Settings,
} as const

export function AdministrationPage() {
  const t = useText()
  const navigate = useNavigate()
  const { tab = 'users' } = useSearch({ from: '/administration' })
  return (
    <TabbedPage<AdministrationTab>
      icon="key"
      title={t('nav.administration')}
      tabs={ADMINISTRATION_TABS}
      titleOf={(one) => t(`admin.tab.${one}`)}
      contents={CONTENTS}
      chosen={tab}
      onChoose={(next) => void navigate({ to: '/administration', search: { tab: next }, replace: true })}
    />
  )
}
