/** Asks a realm whether it answers, and a directory what it knows of somebody; nothing is changed. */
import { Button, Group, Modal, Stack } from '@mantine/core'
import { useState, type FormEvent } from 'react'
import type { RealmTest, RealmView } from '@stead/api/endpoints/realms.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { Result } from '@stead/core/result.ts'
import { useText } from '../i18n/texts.ts'
import { FailureAlert } from '../parts/failure-alert.tsx'
import { Facts } from '../parts/page.tsx'
import { TextField } from '../parts/text-field.tsx'
import { useSession } from '../session/session-context.ts'
import classes from './listing.module.css'

export function RealmTestDialog({ realm, onClose }: { realm: RealmView; onClose: () => void }) {
  const t = useText()
  const { client } = useSession()
  const [user, setUser] = useState('')
  const [isBusy, setBusy] = useState(false)
  const [answer, setAnswer] = useState<Result<RealmTest>>()
  const ask = async (event: FormEvent) => {
    event.preventDefault()
    setBusy(true)
    setAnswer(undefined)
    const body = user.trim() === '' ? {} : { user: user.trim() }
    setAnswer(await client.call(ENDPOINTS['realm.test'], { params: { realm: realm.name }, body }))
    setBusy(false)
  }
  return (
    <Modal
      opened
      onClose={onClose}
      size="lg"
      title={t('realms.askTest', { name: realm.name })}
      closeButtonProps={{ 'aria-label': t('word.close') }}
    >
      <form onSubmit={(event) => void ask(event)}>
        <Stack>
          <p className={classes.text}>{t(`realms.testText.${realm.service.kind}`)}</p>
          {realm.service.kind === 'ldap' ? (
            <TextField label={t('realms.testUser')} value={user} onChange={setUser} data-autofocus />
          ) : null}
          <div role="status">{answer?.ok ? <Answer answer={answer.value} /> : null}</div>
          {answer && !answer.ok ? <FailureAlert failure={answer.error} /> : null}
          <Group justify="flex-end">
            <Button variant="default" onClick={onClose}>
              {t('word.close')}
            </Button>
            <Button type="submit" loading={isBusy}>
              {t('realms.test')}
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  )
}

function Answer({ answer: { answered, user } }: { answer: RealmTest }) {
  const t = useText()
  return (
    <Facts
      items={[
        [t('realms.answered'), answered],
        user ? [t('realms.isUser'), `${user.name} (${t(user.known ? 'realms.known' : 'realms.unknown')})`] : undefined,
        user ? [t('admin.fullName'), user.fullName || '–'] : undefined,
        user ? [t('users.email'), user.email || '–'] : undefined,
        user ? [t('realms.theirs'), user.theirs.join(', ') || '–'] : undefined,
        user ? [t('realms.ours'), user.ours.join(', ') || '–'] : undefined,
      ]}
    />
  )
}
