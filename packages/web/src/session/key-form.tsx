/** A security key or passkey as second factor: its name, what the browser asks for, and recovery codes where there are none. */
import { Button, Stack, TextInput } from '@mantine/core'
import { useState, type FormEvent } from 'react'
import type { Client } from '@stead/api/client.ts'
import type { SignInView } from '@stead/api/endpoints/sign-in.ts'
import type { Failure } from '@stead/core/errors.ts'
import { useText } from '../i18n/texts.ts'
import { FailureAlert } from '../parts/failure-alert.tsx'
import { RecoveryCodes } from './recovery-codes.tsx'
import { addKey } from './security-keys.ts'
import classes from './totp-form.module.css'

interface Added {
  readonly recoveryCodes: readonly string[]
  readonly session: SignInView
}

export function KeyForm({ client, onAdded }: { client: Client; onAdded: (view: SignInView) => void | Promise<void> }) {
  const t = useText()
  const [name, setName] = useState('')
  const [failure, setFailure] = useState<Failure>()
  const [isBusy, setBusy] = useState(false)
  const [added, setAdded] = useState<Added>()
  if (added) return <RecoveryCodes codes={added.recoveryCodes} onKept={() => onAdded(added.session)} />
  const submit = async (event: FormEvent) => {
    event.preventDefault()
    setBusy(true)
    const answer = await addKey(client, name.trim())
    setBusy(false)
    if (!answer.ok) return setFailure(answer.error)
    if (answer.value.recoveryCodes.length > 0) return setAdded(answer.value)
    await onAdded(answer.value.session)
  }
  return (
    <form onSubmit={(event) => void submit(event)}>
      <Stack>
        <p className={classes.text}>{t('key.text')}</p>
        <TextInput
          label={t('key.name')}
          description={t('key.nameText')}
          value={name}
          onChange={(event) => setName(event.currentTarget.value)}
          maxLength={60}
        />
        {failure ? <FailureAlert failure={failure} /> : null}
        <Button type="submit" variant="default" loading={isBusy} disabled={name.trim() === ''}>
          {t('key.add')}
        </Button>
      </Stack>
    </form>
  )
}
