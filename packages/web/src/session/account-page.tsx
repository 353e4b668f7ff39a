/** What belongs to oneself: password, second factor, sessions. */
import { Button } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { SessionView, SignInView } from '@stead/api/endpoints/sign-in.ts'
import { useLanguage, useText } from '../i18n/texts.ts'
import { FailureAlert } from '../parts/failure-alert.tsx'
import { momentText } from '../parts/figures.ts'
import { LoadingRows } from '../parts/loading-rows.tsx'
import { Page, PageHead, Panel, Panels } from '../parts/page.tsx'
import { showFailure } from '../parts/toasts.tsx'
import classes from './account-page.module.css'
import { FactorPanel } from './factor-panel.tsx'
import { PasswordForm } from './password-form.tsx'
import { useReplaceSession, useSession } from './session-context.ts'
import { openSignedIn } from './session.ts'

export function AccountPage() {
  const t = useText()
  const { who } = useSession()
  const goOn = useNewSession()
  return (
    <Page>
      <PageHead icon="user" kind={t('account.title')} title={who.name} />
      {who.kind === 'user' ? (
        <Panels>
          <PasswordPanel />
          <FactorPanel goOn={goOn} />
          <SessionsPanel />
        </Panels>
      ) : (
        <p>{t('account.notSignedIn')}</p>
      )}
    </Page>
  )
}

/** Another password or factor begins another session. */
function useNewSession() {
  const replace = useReplaceSession()
  return async (view: SignInView): Promise<void> => {
    const opened = await openSignedIn(view)
    if (opened.ok) replace(opened.value)
    else showFailure(opened.error)
  }
}

function PasswordPanel() {
  const t = useText()
  const { client, who } = useSession()
  const goOn = useNewSession()
  const [isChanged, setChanged] = useState(false)
  const onChanged = async (view: SignInView) => {
    await goOn(view)
    setChanged(true)
  }
  return (
    <Panel title={t('signIn.password')}>
      <PasswordForm client={client} user={who.name} asksForCurrent onChanged={onChanged} />
      <p role="status" className={classes.text}>
        {isChanged ? t('password.changed') : t('password.endsSessions')}
      </p>
    </Panel>
  )
}

function SessionsPanel() {
  const t = useText()
  const { client, who } = useSession()
  // Of this very session: another password ends all and begins one.
  const queryKey = ['sessions', who.forgeryToken]
  const sessions = useQuery({ queryKey, queryFn: () => client.call(ENDPOINTS['session.list']) })
  const end = async (session: string) => {
    const ended = await client.call(ENDPOINTS['session.end'], { params: { session } })
    if (!ended.ok) showFailure(ended.error)
    await sessions.refetch()
  }
  return (
    <Panel title={t('account.sessions')}>
      {!sessions.data ? (
        <LoadingRows />
      ) : sessions.data.ok ? (
        <ul className={classes.sessions}>
          {sessions.data.value.items.map((session) => (
            <OneSession key={session.id} session={session} onEnd={() => void end(session.id)} />
          ))}
        </ul>
      ) : (
        <FailureAlert failure={sessions.data.error} />
      )}
    </Panel>
  )
}

function OneSession({ session, onEnd }: { session: SessionView; onEnd: () => void }) {
  const t = useText()
  const language = useLanguage()
  return (
    <li className={classes.session}>
      <div className={classes.what}>
        <span>{session.client === '' ? session.form : session.client}</span>
        <span className={classes.text}>
          {session.address} · {t('account.used', { time: momentText(session.usedAt, language) })}
        </span>
      </div>
      {session.current ? (
        <strong className={classes.mark}>{t('account.thisOne')}</strong>
      ) : (
        <Button
          variant="default"
          size="compact-sm"
          onClick={onEnd}
          aria-label={t('account.endOne', { name: session.client })}
        >
          {t('account.end')}
        </Button>
      )}
    </li>
  )
}
