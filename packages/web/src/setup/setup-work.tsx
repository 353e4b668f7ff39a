/** The set-up goes on: its steps; why it failed; what came of it, told this once. */
import { Alert, Button, CopyButton, Group } from '@mantine/core'
import type { SetupOutcome, SetupWorkView } from '@stead/api/endpoints/set-up.ts'
import { useText } from '../i18n/texts.ts'
import { Icon } from '../parts/icon.tsx'
import { Secret } from '../parts/secret.tsx'
import { ToneBadge } from '../parts/state-badge.tsx'
import classes from './setup-page.module.css'

const TONES = { waiting: 'quiet', running: 'busy', done: 'good', failed: 'bad' } as const

export function SetupWorkPanel({ work, onBack }: { work: SetupWorkView; onBack: () => void }) {
  const t = useText()
  const { state, steps, error, outcome } = work
  return (
    <main className={classes.page}>
      <header className={classes.head}>
        <img src="/stead.svg" alt="" width={40} height={40} />
        <h1 className={classes.title}>{t(`setup.work.${state}`)}</h1>
      </header>
      <section className={classes.card} aria-label={t('setup.willDo')}>
        <ul className={classes.checks} aria-live="polite">
          {steps.map((step) => (
            <li key={step.text}>
              <ToneBadge tone={TONES[step.state]} text={t(`setup.workStep.${step.state}`)} />
              <span>{step.text}</span>
            </li>
          ))}
        </ul>
        {error ? (
          <div className={classes.form}>
            <Alert color="red" variant="light" icon={<Icon name="warning" />} title={error.message} role="alert">
              {error.hint}
            </Alert>
            <Button className={classes.alone ?? ''} onClick={onBack}>
              {t('setup.change')}
            </Button>
          </div>
        ) : null}
      </section>
      {outcome ? <Outcome outcome={outcome} /> : null}
    </main>
  )
}

function Outcome({ outcome: { web, fingerprint, administrator, invitations } }: { outcome: SetupOutcome }) {
  const t = useText()
  return (
    <section className={classes.card} aria-label={t('setup.outcome')}>
      <div className={classes.form}>
        <p className={classes.text}>{t('setup.onceText')}</p>
        {administrator ? (
          <Told label={t('setup.password', { user: administrator.user })} value={administrator.password} />
        ) : null}
        {invitations.map(({ role, token }, index) => (
          // Two of one role are told apart by their place alone.
          <div key={index}>
            <Told label={t(`setup.invitation.${role}`)} value={token} />
            <Group mt={6} justify="space-between" wrap="nowrap">
              <p className={classes.dim}>{t('setup.invitationText')}</p>
              <CommandOf role={role} token={token} />
            </Group>
          </div>
        ))}
        {fingerprint === null ? null : (
          <div>
            <p className={classes.text}>{t('setup.fingerprintText')}</p>
            <code className={classes.wide}>{fingerprint}</code>
          </div>
        )}
        {web.map((address) => (
          <Button key={address} component="a" href={address} className={classes.alone ?? ''}>
            {t('setup.open', { address })}
          </Button>
        ))}
      </div>
    </section>
  )
}

/** For a host that nobody reaches with a browser. */
function CommandOf({ role, token }: Pick<SetupOutcome['invitations'][number], 'role' | 'token'>) {
  const t = useText()
  const command = role === 'witness' ? 'stead witness' : 'stead join'
  return (
    <CopyButton value={`${command} ${token}`}>
      {({ copied, copy }) => (
        <Button size="compact-sm" variant="default" className={classes.command ?? ''} onClick={copy}>
          {copied ? t('word.copied') : t('setup.copyCommand', { command })}
        </Button>
      )}
    </CopyButton>
  )
}

function Told({ label, value }: { label: string; value: string }) {
  return (
    <div role="group" aria-label={label}>
      <p className={classes.label}>{label}</p>
      <Secret value={value} what={label} />
    </div>
  )
}
