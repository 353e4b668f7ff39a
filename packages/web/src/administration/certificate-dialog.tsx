/** Which certificate of the web is wanted of which authority, and how it sees that the names are ours. */
import { Button, Checkbox, Group, NumberInput, PasswordInput, Select, SimpleGrid, Stack, Textarea } from '@mantine/core'
import { useState } from 'react'
import { TSIG_ALGORITHMS, type CertificateView } from '@stead/api/endpoints/certificate.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { Failure } from '@stead/core/errors.ts'
import { useText } from '../i18n/texts.ts'
import { ChangeDialog } from '../parts/change-dialog.tsx'
import { FailureAlert } from '../parts/failure-alert.tsx'
import { FieldGroup } from '../parts/field-group.tsx'
import { TextField } from '../parts/text-field.tsx'
import { useSession } from '../session/session-context.ts'
import {
  authorityOf,
  complaintAboutCertificate,
  formOfCertificate,
  orderOf,
  type CertificateForm,
} from './certificate-form.ts'
import classes from './listing.module.css'

const PROOFS = ['http', 'dns'] as const

interface FieldsProps {
  readonly form: CertificateForm
  readonly change: (part: Partial<CertificateForm>) => void
}

export function CertificateDialog({ view, onClose }: { view: CertificateView; onClose: () => void }) {
  const t = useText()
  const [form, setForm] = useState(formOfCertificate(view))
  const change = (part: Partial<CertificateForm>) => setForm((before) => ({ ...before, ...part }))
  return (
    <ChangeDialog
      title={t('certificate.askOrder')}
      confirm={t('certificate.order')}
      complaint={complaintAboutCertificate(form)}
      call={(client) =>
        client.call(ENDPOINTS['certificate.order'], { body: orderOf(form) }, { ifMatch: view.revision })
      }
      onClose={onClose}
    >
      <Textarea
        label={t('certificate.names')}
        description={t('certificate.namesText')}
        value={form.names}
        onChange={(event) => change({ names: event.currentTarget.value })}
        rows={2}
        spellCheck={false}
        data-autofocus
      />
      <AuthorityFields form={form} change={change} />
      <ProofFields form={form} change={change} />
      <Terms form={form} change={change} />
    </ChangeDialog>
  )
}

function AuthorityFields({ form, change }: FieldsProps) {
  const t = useText()
  return (
    <FieldGroup title={t('certificate.authority')}>
      <Stack gap="sm">
        <TextField
          label={t('certificate.directory')}
          description={t('certificate.directoryText')}
          value={form.directoryUrl}
          onChange={(directoryUrl) => change({ directoryUrl })}
        />
        <TextField label={t('certificate.email')} value={form.email} onChange={(email) => change({ email })} />
        <SimpleGrid cols={2}>
          <TextField label={t('certificate.keyId')} value={form.keyId} onChange={(keyId) => change({ keyId })} />
          <PasswordInput
            label={t('certificate.hmacKey')}
            {...(form.keepsKeys ? { description: t('certificate.keyKept') } : {})}
            autoComplete="off"
            value={form.hmacKey}
            onChange={(event) => change({ hmacKey: event.currentTarget.value })}
          />
        </SimpleGrid>
        <Textarea
          label={t('certificate.authorityPem')}
          value={form.authorityPem}
          onChange={(event) => change({ authorityPem: event.currentTarget.value })}
          rows={2}
          spellCheck={false}
        />
      </Stack>
    </FieldGroup>
  )
}

function ProofFields({ form, change }: FieldsProps) {
  const t = useText()
  return (
    <FieldGroup title={t('certificate.proof')}>
      <Stack gap="sm">
        <Select
          label={t('certificate.proof')}
          description={t(`certificate.proofText.${form.kind}`)}
          data={PROOFS.map((one) => ({ value: one, label: t(`certificate.proof.${one}`) }))}
          value={form.kind}
          onChange={(next) => change({ kind: next === 'dns' ? 'dns' : 'http' })}
          allowDeselect={false}
        />
        {form.kind === 'http' ? (
          <NumberInput
            label={t('certificate.port')}
            min={1}
            max={65_535}
            value={form.httpPort}
            onChange={(value) => change({ httpPort: Number(value) })}
          />
        ) : (
          <DnsFields form={form} change={change} />
        )}
      </Stack>
    </FieldGroup>
  )
}

function DnsFields({ form, change }: FieldsProps) {
  const t = useText()
  return (
    <SimpleGrid cols={2}>
      <TextField label={t('certificate.server')} value={form.server} onChange={(server) => change({ server })} />
      <NumberInput
        label={t('certificate.dnsPort')}
        min={1}
        max={65_535}
        value={form.dnsPort}
        onChange={(value) => change({ dnsPort: Number(value) })}
      />
      <TextField label={t('certificate.zone')} value={form.zone} onChange={(zone) => change({ zone })} />
      <NumberInput
        label={t('certificate.settle')}
        min={0}
        max={600}
        value={form.settleSeconds}
        onChange={(value) => change({ settleSeconds: Number(value) })}
      />
      <TextField label={t('certificate.keyName')} value={form.keyName} onChange={(keyName) => change({ keyName })} />
      <Select
        label={t('certificate.algorithm')}
        data={[...TSIG_ALGORITHMS]}
        value={form.algorithm}
        onChange={(next) => change({ algorithm: TSIG_ALGORITHMS.find((one) => one === next) ?? form.algorithm })}
        allowDeselect={false}
      />
      <PasswordInput
        label={t('certificate.keySecret')}
        {...(form.keepsKeys ? { description: t('certificate.keyKept') } : {})}
        autoComplete="off"
        value={form.keySecret}
        onChange={(event) => change({ keySecret: event.currentTarget.value })}
      />
    </SimpleGrid>
  )
}

/** Where they are is asked of the authority: nobody agrees to what he has not been shown. */
function Terms({ form, change }: FieldsProps) {
  const t = useText()
  const { client } = useSession()
  const [terms, setTerms] = useState<{ readonly of: string; readonly url: string | null }>()
  const [failure, setFailure] = useState<Failure>()
  const known = terms?.of === form.directoryUrl ? terms : undefined
  const look = async () => {
    const answer = await client.call(ENDPOINTS['certificate.look'], { body: authorityOf(form) })
    setFailure(answer.ok ? undefined : answer.error)
    if (answer.ok) setTerms({ of: form.directoryUrl, url: answer.value.termsOfService })
  }
  const isLink = known?.url?.startsWith('https://') === true
  return (
    <>
      <Group>
        <Button size="compact-sm" variant="default" onClick={() => void look()}>
          {t('certificate.look')}
        </Button>
        <span role="status" className={classes.text}>
          {known && !isLink ? (known.url ?? t('certificate.noTerms')) : null}
          {known?.url && isLink ? (
            <a href={known.url} target="_blank" rel="noreferrer">
              {known.url}
            </a>
          ) : null}
        </span>
      </Group>
      {failure ? <FailureAlert failure={failure} /> : null}
      <Checkbox
        label={t('certificate.agree')}
        checked={form.agreesToTerms}
        onChange={(event) => change({ agreesToTerms: event.currentTarget.checked })}
      />
    </>
  )
}
