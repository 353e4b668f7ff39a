/** One question after the other; nothing of the host is changed before the summary is confirmed. */
import { Button, Group } from '@mantine/core'
import { useState } from 'react'
import type { Client } from '@stead/api/client.ts'
import type { SetupView } from '@stead/api/endpoints/set-up.ts'
import { useText } from '../i18n/texts.ts'
import { answersOf, complaintsAbout, proposedForm, stepsOf, type SetupForm, type SetupStepName } from './setup-form.ts'
import classes from './setup-page.module.css'
import { SetupSummary } from './setup-summary.tsx'
import { ClusterStep, DisksStep, NetworksStep, WhatStep, type StepProps } from './setup-steps.tsx'

const CONTENTS: Readonly<Record<Exclude<SetupStepName, 'summary'>, (props: StepProps) => React.ReactNode>> = {
  what: WhatStep,
  networks: NetworksStep,
  disks: DisksStep,
  cluster: ClusterStep,
}

export interface SetupWizardProps {
  readonly client: Client
  readonly host: SetupView
  readonly onLook: () => void
  readonly onBegun: () => void
}

export function SetupWizard({ client, host, onLook, onBegun }: SetupWizardProps) {
  const t = useText()
  const [form, setForm] = useState<SetupForm>(() => proposedForm(host))
  const [step, setStep] = useState<SetupStepName>('what')
  /** Complaints are told once somebody has wanted to go on. */
  const [isTold, setTold] = useState(false)
  const change = (part: Partial<SetupForm>) => setForm((before) => ({ ...before, ...part }))
  const steps = stepsOf(form)
  const place = steps.indexOf(step)
  const complaint = complaintsAbout(form)[step]
  const go = (to: SetupStepName | undefined) => {
    if (to === undefined) return
    setTold(false)
    setStep(to)
  }
  const Content = step === 'summary' ? undefined : CONTENTS[step]
  return (
    <main className={classes.page}>
      <header className={classes.head}>
        <img src="/stead.svg" alt="" width={40} height={40} />
        <h1 className={classes.title}>{t('setup.titleOf', { host: host.host })}</h1>
      </header>
      <ol className={classes.steps} aria-label={t('setup.steps')}>
        {steps.map((one, index) => (
          <li key={one}>
            <button
              type="button"
              className={classes.step}
              aria-current={one === step ? 'step' : undefined}
              disabled={index > place}
              onClick={() => go(one)}
            >
              {`${index + 1}. ${t(`setup.step.${one}`)}`}
            </button>
          </li>
        ))}
      </ol>
      <section className={classes.card} aria-label={t(`setup.step.${step}`)}>
        {Content ? (
          <form
            className={classes.form}
            noValidate
            onSubmit={(event) => {
              event.preventDefault()
              if (complaint === undefined) go(steps[place + 1])
              else setTold(true)
            }}
          >
            <Content {...{ form, change, host, onLook }} />
            <p className={classes.complaint} role="status">
              {isTold ? complaint : ''}
            </p>
            <Group justify="space-between">
              <Button variant="default" disabled={place === 0} onClick={() => go(steps[place - 1])}>
                {t('setup.back')}
              </Button>
              <Button type="submit">{t('setup.next')}</Button>
            </Group>
          </form>
        ) : (
          <SetupSummary
            client={client}
            answers={answersOf(form)}
            onBack={() => go(steps[place - 1])}
            onBegun={onBegun}
          />
        )}
      </section>
      <p className={classes.foot}>{t('setup.nothingYet')}</p>
    </main>
  )
}
