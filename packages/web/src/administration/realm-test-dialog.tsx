/** Asks a realm whether it answers, and a directory what it knows of somebody. */
import { useState } from 'react'
import type { RealmTest, RealmView } from '@stead/api/endpoints/realms.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import { useText } from '../i18n/texts.ts'
import { Facts } from '../parts/page.tsx'
import { TextField } from '../parts/text-field.tsx'
import classes from './listing.module.css'
import { TrialDialog } from '../parts/trial-dialog.tsx'

export function RealmTestDialog({ realm, onClose }: { realm: RealmView; onClose: () => void }) {
  const t = useText()
  const [user, setUser] = useState('')
  const body = user.trim() === '' ? {} : { user: user.trim() }
  return (
    <TrialDialog
      title={t('realms.askTest', { name: realm.name })}
      confirm={t('realms.test')}
      ask={(client) => client.call(ENDPOINTS['realm.test'], { params: { realm: realm.name }, body })}
      told={(answer) => <Answer answer={answer} />}
      onClose={onClose}
    >
      <p className={classes.text}>{t(`realms.testText.${realm.service.kind}`)}</p>
      {realm.service.kind === 'ldap' ? (
        <TextField label={t('realms.testUser')} value={user} onChange={setUser} data-autofocus />
      ) : null}
    </TrialDialog>
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
        user && user.barriers.length > 0
          ? [t('realms.barriers'), user.barriers.map((each) => t(`realms.barrier.${each}`)).join(', ')]
          : undefined,
        user ? [t('realms.theirs'), user.theirs.join(', ') || '–'] : undefined,
        user ? [t('realms.ours'), user.ours.join(', ') || '–'] : undefined,
      ]}
    />
  )
}
