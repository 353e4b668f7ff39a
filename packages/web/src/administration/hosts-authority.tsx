/** Who signs the certificates by which hosts know each other, and another one in its place. */
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import type { AuthorityView } from '@stead/api/endpoints/authority.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import { useLanguage, useText } from '../i18n/texts.ts'
import { Answered } from '../parts/answered.tsx'
import { ChangeDialog } from '../parts/change-dialog.tsx'
import { momentText } from '../parts/figures.ts'
import { Facts, Panel } from '../parts/page.tsx'
import { RefusableButton } from '../parts/refusable-button.tsx'
import { useSession } from '../session/session-context.ts'
import classes from './listing.module.css'

const LOOK_MS = 3_000

export function HostsAuthority({ refusal }: { refusal: string | undefined }) {
  const t = useText()
  const { client } = useSession()
  const asked = useQuery({
    queryKey: ['hosts-authority'],
    queryFn: () => client.call(ENDPOINTS['authority.show']),
    // A replacement goes on by itself, host by host.
    refetchInterval: ({ state }) => (state.data?.ok && state.data.value.replacement ? LOOK_MS : false),
  })
  const [isAsking, setAsking] = useState(false)
  const view = asked.data?.ok ? asked.data.value : undefined
  return (
    <Panel
      title={t('hostsAuthority.title')}
      aside={
        <RefusableButton
          size="compact-xs"
          variant="default"
          refusal={refusal}
          {...(view?.replacement ? { obstacle: 'hostsAuthority.going' } : {})}
          onClick={() => setAsking(true)}
        >
          {t('hostsAuthority.replace')}
        </RefusableButton>
      }
    >
      <p className={classes.dim}>{t('hostsAuthority.text')}</p>
      <Answered asked={asked}>{(authority) => <AuthorityFacts authority={authority} />}</Answered>
      {isAsking && view ? (
        <ChangeDialog
          title={t('hostsAuthority.askReplace')}
          confirm={t('hostsAuthority.replace')}
          danger={{ text: t('hostsAuthority.replaceText') }}
          call={(asker) => asker.call(ENDPOINTS['authority.replace'])}
          onClose={() => setAsking(false)}
        >
          {view.down.length === 0 ? null : <p>{t('hostsAuthority.down', { hosts: view.down.join(', ') })}</p>}
        </ChangeDialog>
      ) : null}
    </Panel>
  )
}

function AuthorityFacts({ authority: { fingerprint, expiresAt, replacement } }: { authority: AuthorityView }) {
  const t = useText()
  const language = useLanguage()
  return (
    <Facts
      items={[
        [t('authority.fingerprint'), <code key="fingerprint">{fingerprint}</code>],
        [t('hostsAuthority.until'), momentText(expiresAt, language)],
        replacement ? [t('hostsAuthority.step'), t(`hostsAuthority.phase.${replacement.phase}`)] : undefined,
        replacement && replacement.waitsFor.length > 0
          ? [t('hostsAuthority.waitsFor'), replacement.waitsFor.join(', ')]
          : undefined,
      ]}
    />
  )
}
