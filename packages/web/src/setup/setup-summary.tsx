/** What was looked at and what will be done; the one button that changes anything. */
import { Button, Checkbox, Group } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import type { Client } from '@stead/api/client.ts'
import { SETUP_ENDPOINTS, type SetupCheck, type SetupPlan } from '@stead/api/endpoints/set-up.ts'
import type { Failure } from '@stead/core/errors.ts'
import { useText } from '../i18n/texts.ts'
import { FailureAlert } from '../parts/failure-alert.tsx'
import { LoadingRows } from '../parts/loading-rows.tsx'
import { ToneBadge } from '../parts/state-badge.tsx'
import { CHECK_GROUPS, groupOf, isAllowed } from './setup-checks.ts'
import type { SetupAnswersInput } from './setup-form.ts'
import classes from './setup-page.module.css'

export interface SetupSummaryProps {
  readonly client: Client
  readonly answers: SetupAnswersInput
  readonly onBack: () => void
  readonly onBegun: () => void
}

export function SetupSummary({ client, answers, onBack, onBegun }: SetupSummaryProps) {
  const t = useText()
  const { data, isFetching, refetch } = useQuery({
    queryKey: ['setup', 'check', answers],
    gcTime: 0,
    queryFn: () => client.call(SETUP_ENDPOINTS['setup.check'], { body: answers }),
  })
  const [despite, setDespite] = useState<ReadonlySet<string>>(new Set())
  const [isBusy, setBusy] = useState(false)
  const [failure, setFailure] = useState<Failure>()
  const plan = data?.ok ? data.value : undefined
  const begin = async () => {
    setBusy(true)
    setFailure(undefined)
    const begun = await client.call(SETUP_ENDPOINTS['setup.apply'], { body: { answers, despite: [...despite] } })
    setBusy(false)
    if (!begun.ok) return setFailure(begun.error)
    onBegun()
  }
  const accept = (id: string, isAccepted: boolean) => {
    const next = new Set(despite)
    if (isAccepted) next.add(id)
    else next.delete(id)
    setDespite(next)
  }
  return (
    <div className={classes.form}>
      {data && !isFetching ? null : (
        <div role="status">
          <p className={classes.text}>{t('setup.looking')}</p>
          <LoadingRows />
        </div>
      )}
      {data && !data.ok && !isFetching ? <FailureAlert failure={data.error} /> : null}
      {plan && !isFetching ? <Plan plan={plan} despite={despite} onAccept={accept} /> : null}
      {failure ? <FailureAlert failure={failure} /> : null}
      <Group justify="space-between">
        <Button variant="default" onClick={onBack}>
          {t('setup.back')}
        </Button>
        <Group>
          <Button variant="default" onClick={() => void refetch()} disabled={isFetching}>
            {t('setup.look')}
          </Button>
          <Button
            disabled={!plan || isFetching || !isAllowed(plan.checks, despite)}
            loading={isBusy}
            onClick={() => void begin()}
          >
            {t('setup.begin')}
          </Button>
        </Group>
      </Group>
    </div>
  )
}

interface PlanProps {
  readonly plan: SetupPlan
  readonly despite: ReadonlySet<string>
  readonly onAccept: (id: string, isAccepted: boolean) => void
}

function Plan({ plan, despite, onAccept }: PlanProps) {
  const t = useText()
  const { checks, steps, role, host, cluster, kind } = plan
  return (
    <>
      <p className={classes.lead}>
        {kind === 'init' ? t('setup.willBeFirst', { host, cluster }) : t(`setup.willJoin.${role}`, { host, cluster })}
      </p>
      {CHECK_GROUPS.map((group) => {
        const of = checks.filter((check) => groupOf(check) === group)
        if (of.length === 0) return null
        return (
          <section key={group} aria-label={t(`setup.checks.${group}`)}>
            <h2 className={classes.heading}>{t(`setup.checks.${group}`)}</h2>
            <ul className={classes.checks}>
              {of.map((check) => (
                <Check
                  key={check.id}
                  check={check}
                  isAccepted={despite.has(check.id)}
                  onAccept={(isAccepted) => onAccept(check.id, isAccepted)}
                />
              ))}
            </ul>
          </section>
        )
      })}
      <section aria-label={t('setup.willDo')}>
        <h2 className={classes.heading}>{t('setup.willDo')}</h2>
        <ol className={classes.todo}>
          {steps.map((step) => (
            <li key={step}>{step}</li>
          ))}
        </ol>
      </section>
    </>
  )
}

const TONES = { ok: 'good', warning: 'warn', failed: 'bad' } as const

function Check(props: { check: SetupCheck; isAccepted: boolean; onAccept: (isAccepted: boolean) => void }) {
  const t = useText()
  const { id, name, state, text, hint, final } = props.check
  return (
    <li data-check={id}>
      <ToneBadge tone={TONES[state]} text={t(`setup.state.${state}`)} />
      <span>
        <strong>{name}</strong>: {text}
        {state === 'ok' || hint === null ? null : <span className={classes.hint}>{hint}</span>}
        {state === 'failed' && !final ? (
          <Checkbox
            mt={4}
            size="xs"
            label={t('setup.accept', { name })}
            checked={props.isAccepted}
            onChange={(event) => props.onAccept(event.currentTarget.checked)}
          />
        ) : null}
      </span>
    </li>
  )
}
