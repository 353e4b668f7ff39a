/** What somebody who has signed in must do before anything else. */
import { Button } from '@mantine/core'
import { useState } from 'react'
import type { SignInView } from '@stead/api/endpoints/sign-in.ts'
import type { Failure } from '@stead/core/errors.ts'
import { useText } from '../i18n/texts.ts'
import { FailureAlert } from '../parts/failure-alert.tsx'
import { KeyForm } from './key-form.tsx'
import { PasswordForm } from './password-form.tsx'
import { endSession, openSignedIn, type Session } from './session.ts'
import { SignInCard } from './sign-in-card.tsx'
import { TotpForm } from './totp-form.tsx'

export function DutyPage({ session, onDone }: { session: Session; onDone: (session: Session) => void }) {
  const t = useText()
  const [failure, setFailure] = useState<Failure>()
  const { client, who } = session
  const goOn = async (view: SignInView) => {
    const opened = await openSignedIn(view)
    if (opened.ok) onDone(opened.value)
    else setFailure(opened.error)
  }
  const leave = async () => {
    const ended = await endSession(session)
    if (!ended.ok) setFailure(ended.error)
  }
  const isPassword = who.must === 'change-password'
  return (
    <SignInCard
      title={isPassword ? t('password.must') : t('totp.must')}
      text={isPassword ? t('password.mustText') : t('totp.mustText')}
    >
      {isPassword ? (
        <PasswordForm client={client} user={who.name} asksForCurrent={false} onChanged={goOn} />
      ) : (
        <>
          <TotpForm client={client} onAdded={goOn} />
          <KeyForm client={client} onAdded={goOn} />
        </>
      )}
      {failure ? <FailureAlert failure={failure} /> : null}
      <Button variant="subtle" size="compact-sm" onClick={() => void leave()}>
        {t('frame.signOut')}
      </Button>
    </SignInCard>
  )
}
