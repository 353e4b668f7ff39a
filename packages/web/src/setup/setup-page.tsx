/** The first run: a host that is of no cluster asks what it is to be, shows what was found, and begins when told to. */
import { Button } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { useMemo, useRef, useState } from 'react'
import type { Client } from '@stead/api/client.ts'
import { SETUP_ENDPOINTS, type SetupView } from '@stead/api/endpoints/set-up.ts'
import type { Result } from '@stead/core/result.ts'
import { useText } from '../i18n/texts.ts'
import { FailureAlert } from '../parts/failure-alert.tsx'
import { LoadingRows } from '../parts/loading-rows.tsx'
import { TextField } from '../parts/text-field.tsx'
import { SignInCard } from '../session/sign-in-card.tsx'
import { keepCode, setupClient, takeCode } from './setup-client.ts'
import classes from './setup-page.module.css'
import { SetupWizard } from './setup-wizard.tsx'
import { SetupWorkPanel } from './setup-work.tsx'

const LOOK_MS = 1_000

export function SetupPage() {
  const [code, setCode] = useState(takeCode)
  const client = useMemo(() => setupClient(code), [code])
  const change = (next: string) => {
    keepCode(next)
    setCode(next)
  }
  return code === '' ? <CodeForm onCode={change} /> : <KnownHost key={code} client={client} onCode={change} />
}

function KnownHost({ client, onCode }: { client: Client; onCode: (code: string) => void }) {
  const t = useText()
  const [isBack, setBack] = useState(false)
  const known = useRef<Result<SetupView>>(undefined)
  const { data, refetch } = useQuery({
    queryKey: ['setup', 'show'],
    queryFn: async () => {
      const answer = await client.call(SETUP_ENDPOINTS['setup.show'])
      // The host serves this no more once it is done: what was told stays.
      if (!answer.ok && known.current) return known.current
      if (answer.ok) known.current = answer
      return answer
    },
    refetchInterval: ({ state }) => (state.data?.ok && state.data.value.work?.state === 'running' ? LOOK_MS : false),
  })
  if (!data)
    return (
      <main className={classes.page}>
        <LoadingRows />
      </main>
    )
  if (!data.ok && data.error.code === 'unauthorized') return <CodeForm isWrong onCode={onCode} />
  if (!data.ok)
    return (
      <SignInCard title={t('setup.title')} text={t('setup.noAnswer')}>
        <FailureAlert failure={data.error} />
        <Button onClick={() => void refetch()}>{t('setup.again')}</Button>
      </SignInCard>
    )
  const { work } = data.value
  if (work && !isBack) return <SetupWorkPanel work={work} onBack={() => setBack(true)} />
  return (
    <SetupWizard
      client={client}
      host={data.value}
      onLook={() => void refetch()}
      onBegun={() => {
        setBack(false)
        void refetch()
      }}
    />
  )
}

function CodeForm({ isWrong, onCode }: { isWrong?: true; onCode: (code: string) => void }) {
  const t = useText()
  const [typed, setTyped] = useState('')
  return (
    <SignInCard title={t('setup.title')} text={t('setup.codeText')}>
      <form
        className={classes.form}
        onSubmit={(event) => {
          event.preventDefault()
          if (typed.trim() !== '') onCode(typed.trim())
        }}
      >
        <TextField
          label={t('setup.code')}
          value={typed}
          onChange={setTyped}
          {...(isWrong ? { error: t('setup.wrongCode') } : {})}
          data-autofocus
        />
        <Button type="submit" fullWidth>
          {t('setup.go')}
        </Button>
      </form>
    </SignInCard>
  )
}
