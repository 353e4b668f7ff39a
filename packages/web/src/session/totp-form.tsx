/** An app for one-time codes as second factor: its secret, one of its codes, and the recovery codes that come for it. */
import { Button, Stack, TextInput } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { lazy, Suspense, useState, type FormEvent } from 'react'
import type { Client } from '@stead/api/client.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { SignInView } from '@stead/api/endpoints/sign-in.ts'
import type { Failure } from '@stead/core/errors.ts'
import { useText } from '../i18n/texts.ts'
import { FailureAlert } from '../parts/failure-alert.tsx'
import { LoadingRows } from '../parts/loading-rows.tsx'
import { RecoveryCodes } from './recovery-codes.tsx'
import classes from './totp-form.module.css'

const QrCode = lazy(async () => ({ default: (await import('./qr-code.tsx')).QrCode }))

interface Added {
  readonly recoveryCodes: readonly string[]
  readonly session: SignInView
}

export function TotpForm({ client, onAdded }: { client: Client; onAdded: (view: SignInView) => void | Promise<void> }) {
  const t = useText()
  const [code, setCode] = useState('')
  const [failure, setFailure] = useState<Failure>()
  const [isBusy, setBusy] = useState(false)
  const [added, setAdded] = useState<Added>()
  // Each asking makes another secret: once for as long as the form is there.
  const begun = useQuery({
    queryKey: ['totp'],
    staleTime: Infinity,
    gcTime: 0,
    queryFn: () => client.call(ENDPOINTS['factor.begin-totp']),
  })
  if (added) return <RecoveryCodes codes={added.recoveryCodes} onKept={() => onAdded(added.session)} />
  if (!begun.data) return <LoadingRows />
  if (!begun.data.ok) return <FailureAlert failure={begun.data.error} />
  const { secret, uri } = begun.data.value
  const submit = async (event: FormEvent) => {
    event.preventDefault()
    setBusy(true)
    const answer = await client.call(ENDPOINTS['factor.add-totp'], { body: { code: code.replaceAll(/\s/g, '') } })
    setBusy(false)
    if (answer.ok) setAdded(answer.value)
    else setFailure(answer.error)
  }
  return (
    <form onSubmit={(event) => void submit(event)}>
      <Stack>
        <p className={classes.text}>{t('totp.scan')}</p>
        <Suspense fallback={<div className={classes.picture} />}>
          <QrCode text={uri} label={t('totp.picture')} className={classes.picture} />
        </Suspense>
        <dl className={classes.facts}>
          <dt>{t('totp.secret')}</dt>
          <dd>
            <code>{secret}</code>
          </dd>
          <dt>{t('totp.address')}</dt>
          <dd>
            <code>{uri}</code>
          </dd>
        </dl>
        <TextInput
          label={t('signIn.code')}
          description={t('signIn.codeText')}
          value={code}
          onChange={(event) => setCode(event.currentTarget.value)}
          inputMode="numeric"
          autoComplete="one-time-code"
        />
        {failure ? <FailureAlert failure={failure} /> : null}
        <Button type="submit" loading={isBusy} disabled={code.trim() === ''}>
          {t('totp.add')}
        </Button>
      </Stack>
    </form>
  )
}
