/** All hosts as cards: there are few of them, and each matters. */
import { useText } from '../i18n/texts.ts'
import { useHosts, useLive } from '../live/use-live.ts'
import { LoadingRows } from '../parts/loading-rows.tsx'
import { Empty, Page, PageHead } from '../parts/page.tsx'
import { HostCard } from './host-card.tsx'
import { InviteButton } from './invitation.tsx'
import classes from './hosts-page.module.css'

export function HostsPage() {
  const t = useText()
  const hosts = useHosts()
  const isKnown = useLive((state) => state.isKnown)
  return (
    <Page>
      <PageHead icon="host" title={t('nav.hosts')} actions={<InviteButton />} />
      {isKnown ? null : <LoadingRows />}
      {isKnown && hosts.length === 0 ? <Empty icon="host" title={t('hosts.none')} /> : null}
      <div className={classes.cards}>
        {hosts.map((host) => (
          <HostCard key={host.name} host={host} />
        ))}
      </div>
    </Page>
  )
}
