/** The certificate that browsers are shown, from an authority that they know: how it stands, ordered, renewed, given up. */
import { Checkbox, Group } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import type { CertificateView } from '@stead/api/endpoints/certificate.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import { useLanguage, useText } from '../i18n/texts.ts'
import { Answered } from '../parts/answered.tsx'
import { ChangeDialog } from '../parts/change-dialog.tsx'
import { momentText } from '../parts/figures.ts'
import { Facts, Panel } from '../parts/page.tsx'
import { RefusableButton } from '../parts/refusable-button.tsx'
import { ToneBadge } from '../parts/state-badge.tsx'
import { useSession } from '../session/session-context.ts'
import { CertificateDialog } from './certificate-dialog.tsx'
import classes from './listing.module.css'

const LOOK_MS = 2_000
const TONES = { none: 'quiet', ordering: 'busy', valid: 'good', failing: 'warn', expired: 'bad' } as const

export function Certificate({ refusal }: { refusal: string | undefined }) {
  const t = useText()
  const { client } = useSession()
  const asked = useQuery({
    queryKey: ['certificate'],
    queryFn: () => client.call(ENDPOINTS['certificate.show']),
    // An order goes on by itself.
    refetchInterval: ({ state }) => (state.data?.ok && state.data.value.standing === 'ordering' ? LOOK_MS : false),
  })
  const [asking, setAsking] = useState<'order' | 'renew' | 'forget'>()
  const view = asked.data?.ok ? asked.data.value : undefined
  const close = () => setAsking(undefined)
  const action = (kind: 'order' | 'renew' | 'forget') => (
    <RefusableButton size="compact-xs" variant="default" refusal={refusal} onClick={() => setAsking(kind)}>
      {t(`certificate.${kind}`)}
    </RefusableButton>
  )
  return (
    <Panel
      title={t('certificate.title')}
      aside={
        <Group gap="xs">
          {action('order')}
          {view?.wanted ? action('renew') : null}
          {view?.wanted ? action('forget') : null}
        </Group>
      }
    >
      <p className={classes.dim}>{t('certificate.text')}</p>
      <Answered asked={asked}>{(certificate) => <CertificateFacts certificate={certificate} />}</Answered>
      {asking === 'order' && view ? <CertificateDialog view={view} onClose={close} /> : null}
      {asking === 'renew' && view ? (
        <ChangeDialog
          title={t('certificate.askRenew')}
          confirm={t('certificate.renew')}
          call={(asker) => asker.call(ENDPOINTS['certificate.renew'], {}, { ifMatch: view.revision })}
          onClose={close}
        />
      ) : null}
      {asking === 'forget' && view ? <ForgetDialog view={view} onClose={close} /> : null}
    </Panel>
  )
}

function ForgetDialog({ view, onClose }: { view: CertificateView; onClose: () => void }) {
  const t = useText()
  const [revoke, setRevoke] = useState(false)
  return (
    <ChangeDialog
      title={t('certificate.askForget')}
      confirm={t('certificate.forget')}
      danger={{ text: t('certificate.forgetText') }}
      call={(client) => client.call(ENDPOINTS['certificate.forget'], { query: { revoke } }, { ifMatch: view.revision })}
      onClose={onClose}
    >
      <Checkbox
        label={t('certificate.revoke')}
        description={t('certificate.revokeText')}
        checked={revoke}
        onChange={(event) => setRevoke(event.currentTarget.checked)}
      />
    </ChangeDialog>
  )
}

function CertificateFacts({ certificate }: { certificate: CertificateView }) {
  const t = useText()
  const language = useLanguage()
  const { standing, wanted, given, renewAt, failing } = certificate
  return (
    <Facts
      items={[
        [
          t('column.state'),
          <ToneBadge key="standing" tone={TONES[standing]} text={t(`certificate.standing.${standing}`)} />,
        ],
        wanted ? [t('certificate.names'), wanted.names.join(', ')] : undefined,
        wanted ? [t('certificate.directory'), wanted.directoryUrl] : undefined,
        wanted ? [t('certificate.proof'), t(`certificate.proof.${wanted.proof.kind}`)] : undefined,
        given ? [t('certificate.issuer'), given.issuer] : undefined,
        given
          ? [
              t('certificate.until'),
              `${momentText(given.notAfter, language)} (${t('certificate.days', { count: given.daysLeft })})`,
            ]
          : undefined,
        given && renewAt !== null ? [t('certificate.renewAt'), momentText(renewAt, language)] : undefined,
        failing ? [t('certificate.why'), failing.message] : undefined,
        failing?.hint ? [t('certificate.hint'), failing.hint] : undefined,
        failing ? [t('certificate.next'), momentText(failing.nextAt, language)] : undefined,
      ]}
    />
  )
}
