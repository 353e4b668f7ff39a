/** Before anything else: who are you? */
import { Button, PasswordInput, Stack } from '@mantine/core'
import { useState, type FormEvent } from 'react'
import type { Failure } from '@stead/core/errors.ts'
import { useText } from '../i18n/texts.ts'
import { FailureAlert } from '../parts/failure-alert.tsx'
import { openSession, type Session } from './session.ts'
import classes from './sign-in-page.module.css'

export function SignInPage({ failure: first, onSignIn }: { failure?: Failure; onSignIn: (session: Session) => void }) {
  const t = useText()
  const [token, setToken] = useState('')
  const [failure, setFailure] = useState(first)
  const [isBusy, setBusy] = useState(false)
  const submit = async (event: FormEvent) => {
    event.preventDefault()
    setBusy(true)
    const session = await openSession(token.trim())
    setBusy(false)
    if (session.ok) onSignIn(session.value)
    else setFailure(session.error)
  }
  return (
    <main className={classes.page}>
      <form className={classes.card} onSubmit={(event) => void submit(event)}>
        <Stack>
          <div className={classes.brand}>
            <img src="/stead.svg" alt="" width={44} height={44} />
            <h1 className={classes.title}>{t('signIn.title')}</h1>
          </div>
          <PasswordInput
            label={t('signIn.token')}
            description={t('signIn.tokenText')}
            value={token}
            onChange={(event) => setToken(event.currentTarget.value)}
            autoComplete="off"
            required
            withAsterisk={false}
            data-autofocus
            autoFocus
          />
          {failure ? <FailureAlert failure={failure} /> : null}
          <Button type="submit" loading={isBusy} disabled={token.trim() === ''} fullWidth>
            {t('signIn.button')}
          </Button>
        </Stack>
      </form>
    </main>
  )
}
