/** What the command line asks for of who has signed in by an OpenID realm in this browser. */
import { Button } from '@mantine/core'
import { useState } from 'react'
import { useText } from '../i18n/texts.ts'
import { SignInCard } from './sign-in-card.tsx'
import classes from './totp-form.module.css'

export function CommandLineCode({ code }: { code: string }) {
  const t = useText()
  const [isCopied, setCopied] = useState(false)
  const copy = async () => {
    await navigator.clipboard.writeText(code)
    setCopied(true)
  }
  return (
    <SignInCard title={t('realm.code')} text={t('realm.codeText')}>
      <dl className={classes.facts}>
        <dt>{t('realm.code')}</dt>
        <dd>
          <code>{code}</code>
        </dd>
      </dl>
      <Button onClick={() => void copy()}>{isCopied ? t('recovery.copied') : t('recovery.copy')}</Button>
    </SignInCard>
  )
}
