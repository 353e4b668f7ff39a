/** Recovery codes, shown once. */
import { Button, Group, Stack } from '@mantine/core'
import { useState } from 'react'
import { useText } from '../i18n/texts.ts'
import classes from './totp-form.module.css'

export function RecoveryCodes({ codes, onKept }: { codes: readonly string[]; onKept: () => void | Promise<void> }) {
  const t = useText()
  const [isCopied, setCopied] = useState(false)
  const copy = async () => {
    await navigator.clipboard.writeText(codes.join('\n'))
    setCopied(true)
  }
  return (
    <Stack>
      <h2 className={classes.heading}>{t('recovery.title')}</h2>
      <p className={classes.text}>{t('recovery.text')}</p>
      <ul className={classes.codes}>
        {codes.map((code) => (
          <li key={code}>
            <code>{code}</code>
          </li>
        ))}
      </ul>
      <Group>
        <Button variant="default" onClick={() => void copy()}>
          {isCopied ? t('recovery.copied') : t('recovery.copy')}
        </Button>
        <Button onClick={() => void onKept()}>{t('recovery.kept')}</Button>
      </Group>
    </Stack>
  )
}
