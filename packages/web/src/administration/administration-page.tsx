/** Who there is and what they may, projects, images, the audit, the cluster's settings. */
import { Tabs } from '@mantine/core'
import { useNavigate, useSearch } from '@tanstack/react-router'
import { useText } from '../i18n/texts.ts'
import { Page, PageHead } from '../parts/page.tsx'
import { ADMINISTRATION_TABS, type AdministrationTab } from './administration-tabs.ts'
import { Audit } from './audit.tsx'
import { Groups } from './groups.tsx'
import { Images } from './images.tsx'
import { Permissions, Roles } from './permissions.tsx'
import { Projects } from './projects.tsx'
import { Settings } from './settings.tsx'
import { Tokens } from './tokens.tsx'
import { Users } from './users.tsx'

const CONTENTS = {
  users: Users,
  groups: Groups,
  permissions: Permissions,
  roles: Roles,
  tokens: Tokens,
  projects: Projects,
  images: Images,
  audit: Audit,
  settings: Settings,
} as const

export function AdministrationPage() {
  const t = useText()
  const navigate = useNavigate()
  const { tab = 'users' } = useSearch({ from: '/administration' })
  const choose = (next: string | null) =>
    void navigate({ to: '/administration', search: { tab: next as AdministrationTab }, replace: true })
  return (
    <Page>
      <PageHead icon="key" title={t('nav.administration')} />
      <Tabs value={tab} onChange={choose} keepMounted={false}>
        <Tabs.List mb="md">
          {ADMINISTRATION_TABS.map((one) => (
            <Tabs.Tab key={one} value={one}>
              {t(`admin.tab.${one}`)}
            </Tabs.Tab>
          ))}
        </Tabs.List>
        {ADMINISTRATION_TABS.map((one) => {
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
