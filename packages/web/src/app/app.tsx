/** The whole: theme, session, live store, pages. */
import { Loader, MantineProvider } from '@mantine/core'
import { QueryClient, QueryClientProvider } from '@tanstack/react-query'
import { RouterProvider } from '@tanstack/react-router'
import { lazy, Suspense, useEffect, useMemo, useState } from 'react'
import { useText, withTexts } from '../i18n/texts.ts'
import { followCluster } from '../live/live-source.ts'
import { LiveStore } from '../live/live-store.ts'
import { LiveContext } from '../live/use-live.ts'
import { realmAnswer } from '../session/realm-return.ts'
import { SessionContext } from '../session/session-context.ts'
import { beginAnewWithOtherTabs, isSignInNeeded, resumeSession, type Session } from '../session/session.ts'
import type { Failure } from '@stead/core/errors.ts'
import classes from './app.module.css'
import { isConsoleWindow } from './console-address.ts'
import { router } from './router.tsx'
import { theme } from './theme.ts'

// What is asked for once in a while; the live store holds the rest.
const queries = new QueryClient({ defaultOptions: { queries: { retry: false, refetchOnWindowFocus: false } } })
const store = new LiveStore()

const SignInPage = lazy(
  withTexts(['session'], async () => ({ default: (await import('../session/sign-in-page.tsx')).SignInPage })),
)

const DutyPage = lazy(
  withTexts(['session'], async () => ({ default: (await import('../session/duty-page.tsx')).DutyPage })),
)

/** Of a host that is of no cluster: nobody signs in there. */
const SETUP_PATH = '/setup'
const SetupPage = lazy(
  withTexts(['setup'], async () => ({ default: (await import('../setup/setup-page.tsx')).SetupPage })),
)

const RETRY_MS = 2_000

beginAnewWithOtherTabs()

type Who =
  | { readonly is: 'asked'; readonly failure?: Failure }
  | { readonly is: 'stranger'; readonly failure?: Failure }
  | { readonly is: 'known'; readonly session: Session }

export function App({ nonce }: { nonce: string }) {
  return (
    <MantineProvider theme={theme} defaultColorScheme="auto" getStyleNonce={() => nonce}>
      <QueryClientProvider client={queries}>
        {location.pathname === SETUP_PATH ? (
          <Suspense>
            <SetupPage />
          </Suspense>
        ) : (
          <Signed />
        )}
      </QueryClientProvider>
    </MantineProvider>
  )
}

function Signed() {
  const t = useText()
  // Who comes back from a realm's page signs in, whoever he was before.
  const [who, setWho] = useState<Who>(() => (realmAnswer() ? { is: 'stranger' } : { is: 'asked' }))
  useEffect(() => {
    if (who.is !== 'asked') return
    let ended = false
    const resume = async () => {
      while (!ended) {
        const resumed = await resumeSession()
        if (ended) return
        if (resumed.ok) return setWho({ is: 'known', session: resumed.value })
        if (isSignInNeeded(resumed.error)) return setWho({ is: 'stranger' })
        setWho({ is: 'asked', failure: resumed.error })
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
      }
    }
    void resume()
    return () => {
      ended = true
    }
  }, [who.is])
  const session = who.is === 'known' ? who.session : undefined
  const free = session?.who.must === null ? session : undefined
  useEffect(() => {
    if (!free || isConsoleWindow(location.pathname)) return
    const source = followCluster(free.client, store)
    const unsubscribe = onRefusal(async (failure) => {
      // Another password has another cookie, which an answer may have brought in this moment.
      const resumed = await resumeSession()
      if (resumed.ok) return setWho({ is: 'known', session: resumed.value })
      if (!isSignInNeeded(resumed.error)) return
      store.clear()
      queries.clear()
      setWho({ is: 'stranger', failure })
    })
    return () => {
      unsubscribe()
      source.stop()
    }
  }, [free])
  const kept = useMemo(
    () => free && { session: free, replace: (next: Session) => setWho({ is: 'known', session: next }) },
    [free],
  )
  if (kept) {
    return (
      <SessionContext.Provider value={kept}>
        <LiveContext.Provider value={store}>
          <RouterProvider router={router} />
        </LiveContext.Provider>
      </SessionContext.Provider>
    )
  }
  const begin = (next: Session) => setWho({ is: 'known', session: next })
  if (session)
    return (
      <Suspense>
        <DutyPage key={session.who.must} session={session} onDone={begin} />
      </Suspense>
    )
  if (who.is === 'stranger') {
    return (
      <Suspense>
        <SignInPage onSignIn={begin} {...(who.failure ? { failure: who.failure } : {})} />
      </Suspense>
    )
  }
  const failure = who.is === 'asked' ? who.failure : undefined
  return (
    <main className={classes.waiting} role="status">
      <Loader size="sm" />
      <span>{failure ? failure.message : t('word.loading')}</span>
    </main>
  )
}

/** Whenever the stream is told that nobody has signed in: the session has ended, by its time or by somebody. */
function onRefusal(told: (failure: Failure) => Promise<void>): () => void {
  let last: Failure | undefined
  return store.subscribe(() => {
    const { failure } = store.state()
    if (!failure || failure === last || !isSignInNeeded(failure)) return
    last = failure
    void told(failure)
  })
}
