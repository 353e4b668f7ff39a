/** One's own second factors: the app, the security keys, and what is left of the recovery codes. */
import { Button } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { KeyView } from '@stead/api/endpoints/security-key-answers.ts'
import type { SignInView } from '@stead/api/endpoints/sign-in.ts'
import { useLanguage, useText } from '../i18n/texts.ts'
import { ChangeDialog } from '../parts/change-dialog.tsx'
import { FailureAlert } from '../parts/failure-alert.tsx'
import { momentText } from '../parts/figures.ts'
import { LoadingRows } from '../parts/loading-rows.tsx'
import { Panel } from '../parts/page.tsx'
import { showFailure } from '../parts/toasts.tsx'
import classes from './account-page.module.css'
import { KeyForm } from './key-form.tsx'
import { useSession } from './session-context.ts'
import { TotpForm } from './totp-form.tsx'

export function FactorPanel({ goOn }: { goOn: (view: SignInView) => Promise<void> }) {
  const t = useText()
  const { client } = useSession()
  const [isRemoving, setRemoving] = useState(false)
  const [adding, setAdding] = useState<'totp' | 'key'>()
  const factors = useQuery({ queryKey: ['factors'], queryFn: () => client.call(ENDPOINTS['factor.list']) })
  const onAdded = async (view: SignInView) => {
    await goOn(view)
    setAdding(undefined)
    await factors.refetch()
  }
  const remove = async (key: string) => {
    const removed = await client.call(ENDPOINTS['factor.remove-key'], { params: { key } })
    if (!removed.ok) showFailure(removed.error)
    await factors.refetch()
  }
  if (adding)
    return (
      <Panel title={t('account.factor')}>
        {adding === 'totp' ? (
          <TotpForm client={client} onAdded={onAdded} />
        ) : (
          <KeyForm client={client} onAdded={onAdded} />
        )}
      </Panel>
    )
  if (!factors.data)
    return (
      <Panel title={t('account.factor')}>
        <LoadingRows />
      </Panel>
    )
  if (!factors.data.ok)
    return (
      <Panel title={t('account.factor')}>
        <FailureAlert failure={factors.data.error} />
      </Panel>
    )
  const { totp, keys, recoveryCodes } = factors.data.value
  return (
    <Panel title={t('account.factor')}>
      <p className={classes.text}>
        {totp
          ? t('account.factorIs', { left: recoveryCodes })
          : keys.length > 0
            ? t('account.keysAre', { left: recoveryCodes })
            : t('account.noFactor')}
      </p>
      <ul className={classes.sessions}>
        {keys.map((key) => (
          <OneKey key={key.id} view={key} onRemove={() => void remove(key.id)} />
        ))}
      </ul>
      {totp ? null : (
        <Button variant="default" onClick={() => setAdding('totp')}>
          {t('totp.add')}
        </Button>
      )}
      <Button variant="default" onClick={() => setAdding('key')}>
        {t('key.add')}
      </Button>
      {totp || keys.length > 0 ? (
        <Button variant="default" onClick={() => setRemoving(true)}>
          {t('factors.remove')}
        </Button>
      ) : null}
      {isRemoving ? (
        <ChangeDialog
          title={t('factors.askRemove')}
          confirm={t('factors.remove')}
          danger={{ text: t('factors.removeText') }}
          call={(asker) => asker.call(ENDPOINTS['factor.remove'])}
          onClose={() => setRemoving(false)}
        />
      ) : null}
    </Panel>
  )
}

function OneKey({ view, onRemove }: { view: KeyView; onRemove: () => void }) {
  const t = useText()
  const language = useLanguage()
  return (
    <li className={classes.session}>
      <div className={classes.what}>
        <span>{view.name}</span>
        <span className={classes.text}>
          {view.site} · {t('account.used', { time: momentText(view.usedAt ?? view.createdAt, language) })}
        </span>
      </div>
      <Button
        variant="default"
        size="compact-sm"
        onClick={onRemove}
        aria-label={t('key.removeOne', { name: view.name })}
      >
        {t('key.remove')}
      </Button>
    </li>
  )
}
