/** Another password for oneself. */
import { Button, PasswordInput, Stack } from '@mantine/core'
import { useState, type FormEvent } from 'react'
import type { Client } from '@stead/api/client.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { SignInView } from '@stead/api/endpoints/sign-in.ts'
import type { Failure } from '@stead/core/errors.ts'
import { useText } from '../i18n/texts.ts'
import { FailureAlert } from '../parts/failure-alert.tsx'

export function PasswordForm(props: {
  client: Client
  user: string
  /** Who came with a one-time password has shown it. */
  asksForCurrent: boolean
  onChanged: (view: SignInView) => void | Promise<void>
}) {
  const { client, user, asksForCurrent, onChanged } = props
  const t = useText()
  const [current, setCurrent] = useState('')
  const [next, setNext] = useState('')
  const [repeated, setRepeated] = useState('')
  const [failure, setFailure] = useState<Failure>()
  const [isBusy, setBusy] = useState(false)
  const isWhole = next !== '' && next === repeated && (!asksForCurrent || current !== '')
  const submit = async (event: FormEvent) => {
    event.preventDefault()
    if (!isWhole) return
    setBusy(true)
    const body = { next, ...(asksForCurrent ? { current } : {}) }
    const changed = await client.call(ENDPOINTS['auth.password'], { body })
    setFailure(changed.ok ? undefined : changed.error)
    if (changed.ok) {
      for (const clear of [setCurrent, setNext, setRepeated]) clear('')
      await onChanged(changed.value)
    }
    setBusy(false)
  }
  return (
    <form onSubmit={(event) => void submit(event)}>
      <Stack>
        {/* For the browser's store of passwords. */}
        <input type="text" autoComplete="username" value={user} readOnly hidden />
        {asksForCurrent ? (
          <PasswordInput
            label={t('password.current')}
            value={current}
            onChange={(event) => setCurrent(event.currentTarget.value)}
            autoComplete="current-password"
          />
        ) : null}
        <PasswordInput
          label={t('password.next')}
          description={t('password.rule')}
          value={next}
          onChange={(event) => setNext(event.currentTarget.value)}
          autoComplete="new-password"
        />
        <PasswordInput
          label={t('password.repeat')}
          value={repeated}
          onChange={(event) => setRepeated(event.currentTarget.value)}
          autoComplete="new-password"
          error={repeated !== '' && repeated !== next ? t('password.differs') : undefined}
        />
        {failure ? <FailureAlert failure={failure} /> : null}
        <Button type="submit" loading={isBusy} disabled={!isWhole}>
          {t('password.change')}
        </Button>
      </Stack>
    </form>
  )
}
