/** Before anything else: who are you? By a password and what else is asked for, or by an API token. */
import { Button, PasswordInput, Stack, TextInput } from '@mantine/core'
import { useEffect, useState, type FormEvent } from 'react'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { SignInView } from '@stead/api/endpoints/sign-in.ts'
import type { Failure } from '@stead/core/errors.ts'
import type { Result } from '@stead/core/result.ts'
import { useText } from '../i18n/texts.ts'
import { FailureAlert } from '../parts/failure-alert.tsx'
import { CommandLineCode } from './command-line-code.tsx'
import { DirectoryChoice, ProviderButtons, useRealms } from './realm-choices.tsx'
import { codeOfAnswer, realmAnswer, spendRealmAnswer } from './realm-return.ts'
import { openSession, openSignedIn, strangersClient, type Session } from './session.ts'
import { signInByKey } from './security-keys.ts'
import { SignInCard } from './sign-in-card.tsx'
import classes from './totp-form.module.css'

/** `pending`: of a sign-in whose password was right. */
type Step =
  | { readonly ask: 'password'; readonly pending?: never }
  | { readonly ask: 'token'; readonly pending?: never }
  | { readonly ask: 'code' | 'key' | 'recovery-code'; readonly pending: string; readonly methods: readonly Method[] }

type Method = SignInView['methods'][number]

export function SignInPage({ failure: first, onSignIn }: { failure?: Failure; onSignIn: (session: Session) => void }) {
  const t = useText()
  const [step, setStep] = useState<Step>({ ask: 'password' })
  const [user, setUser] = useState('')
  const [secret, setSecret] = useState('')
  const [failure, setFailure] = useState(first)
  const [isBusy, setBusy] = useState(false)
  const realms = useRealms()
  const [realm, setRealm] = useState('')
  const go = (next: Step) => {
    setStep(next)
    setSecret('')
    setFailure(undefined)
  }
  const signIn = async (view: Result<SignInView>) => {
    if (!view.ok) return setFailure(view.error)
    const { pending, methods } = view.value
    if (pending !== null) return go({ ask: methods.includes('totp') ? 'code' : 'key', pending, methods })
    open(await openSignedIn(view.value))
  }
  const open = (session: Result<Session>) => (session.ok ? onSignIn(session.value) : setFailure(session.error))
  const byKey = async (pending?: string) => {
    setBusy(true)
    await signIn(await signInByKey(strangersClient(), pending))
    setBusy(false)
  }
  useEffect(() => {
    const answer = realmAnswer()
    if (!answer || answer.isForCommandLine) return
    spendRealmAnswer()
    const finish = async () => {
      setBusy(true)
      await signIn(await strangersClient().call(ENDPOINTS['auth.oidc-finish'], { body: { answer: answer.query } }))
      setBusy(false)
    }
    void finish()
  }, [])
  const submit = async (event: FormEvent) => {
    event.preventDefault()
    setBusy(true)
    const client = strangersClient()
    if (step.ask === 'key') await byKey(step.pending)
    else if (step.ask === 'token') open(await openSession(secret.trim()))
    else if (step.ask === 'password') {
      const name = user.trim()
      const body = {
        user: realm === '' || name.includes('@') ? name : `${name}@${realm}`,
        password: secret,
        form: 'cookie' as const,
      }
      await signIn(await client.call(ENDPOINTS['auth.sign-in'], { body }))
    } else {
      const shown = step.ask === 'code' ? { code: secret.replaceAll(/\s/g, '') } : { recoveryCode: secret.trim() }
      const body = { pending: step.pending, ...shown }
      await signIn(await client.call(ENDPOINTS['auth.second-factor'], { body }))
    }
    setBusy(false)
  }
  const answer = realmAnswer()
  if (answer?.isForCommandLine) return <CommandLineCode code={codeOfAnswer(answer)} />
  const change = {
    value: secret,
    onChange: (event: { currentTarget: { value: string } }) => setSecret(event.currentTarget.value),
  }
  const asked = {
    ...change,
    required: true,
    withAsterisk: false,
    autoFocus: true,
    'data-autofocus': true,
    key: step.ask,
  }
  return (
    <SignInCard title={t('signIn.title')}>
      <form onSubmit={(event) => void submit(event)}>
        <Stack>
          {step.ask === 'password' ? (
            <>
              <TextInput
                label={t('signIn.user')}
                value={user}
                onChange={(event) => setUser(event.currentTarget.value)}
                autoComplete="username"
                autoCapitalize="none"
                spellCheck={false}
                required
                withAsterisk={false}
                autoFocus
              />
              <PasswordInput
                {...change}
                label={t('signIn.password')}
                autoComplete="current-password"
                required
                withAsterisk={false}
              />
              <DirectoryChoice realms={realms} chosen={realm} onChoose={setRealm} />
            </>
          ) : step.ask === 'token' ? (
            <PasswordInput
              {...asked}
              label={t('signIn.token')}
              description={t('signIn.tokenText')}
              autoComplete="off"
            />
          ) : step.ask === 'key' ? (
            <p className={classes.text}>{t('key.show')}</p>
          ) : step.ask === 'code' ? (
            <TextInput
              {...asked}
              label={t('signIn.code')}
              description={t('signIn.codeText')}
              inputMode="numeric"
              autoComplete="one-time-code"
            />
          ) : (
            <TextInput {...asked} label={t('signIn.recoveryCode')} autoComplete="off" spellCheck={false} />
          )}
          {failure ? <FailureAlert failure={failure} /> : null}
          <Button
            type="submit"
            loading={isBusy}
            disabled={step.ask !== 'key' && (secret.trim() === '' || (step.ask === 'password' && user.trim() === ''))}
            fullWidth
          >
            {step.ask === 'key' ? t('key.use') : t('signIn.button')}
          </Button>
          {step.ask === 'password' ? <ProviderButtons realms={realms} onFailure={setFailure} /> : null}
          <OtherWays step={step} onChoose={go} onKey={() => void byKey()} />
        </Stack>
      </form>
    </SignInCard>
  )
}

const WAYS = [
  ['code', 'totp', 'signIn.useCode'],
  ['key', 'security-key', 'key.use'],
  ['recovery-code', 'recovery-code', 'signIn.useRecoveryCode'],
] as const

interface Chosen {
  readonly step: Step
  readonly onChoose: (step: Step) => void
  readonly onKey: () => void
}

function OtherWays({ step, onChoose, onKey }: Chosen) {
  const t = useText()
  const way = (to: Step, text: string) => (
    <Button key={text} variant="subtle" size="compact-sm" onClick={() => onChoose(to)}>
      {text}
    </Button>
  )
  if (step.ask === 'password')
    return (
      <>
        <Button variant="subtle" size="compact-sm" onClick={onKey}>
          {t('key.alone')}
        </Button>
        {way({ ask: 'token' }, t('signIn.useToken'))}
      </>
    )
  if (step.ask === 'token') return way({ ask: 'password' }, t('signIn.usePassword'))
  return (
    <>
      {WAYS.filter(([ask, method]) => ask !== step.ask && step.methods.includes(method)).map(([ask, , text]) =>
        way({ ...step, ask }, t(text)),
      )}
      {way({ ask: 'password' }, t('signIn.again'))}
    </>
  )
}
